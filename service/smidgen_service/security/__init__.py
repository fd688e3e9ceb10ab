"""Who may connect, who a caller is, what it may call, and how much it may use."""
