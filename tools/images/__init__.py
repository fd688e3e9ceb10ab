"""Builds the images of the Dockerfile without a Docker engine, on a Debian made for it."""
