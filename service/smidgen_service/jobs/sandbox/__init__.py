"""What a worker process gives up before it reads a byte of a client's."""
