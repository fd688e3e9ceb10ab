"""What each call does, in the service's own types."""
