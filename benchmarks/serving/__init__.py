"""What the service adds to the engine, and what it does when it is asked for too much."""
