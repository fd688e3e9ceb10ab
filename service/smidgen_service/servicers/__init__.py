"""The gRPC services: each method unpacks, calls one handler, packs."""
