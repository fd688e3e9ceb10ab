"""Several processes that serve one port: a control process, and fronts that answer clients."""
