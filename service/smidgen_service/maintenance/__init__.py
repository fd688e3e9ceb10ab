"""What an operator does to a data directory: check it, back it up, restore it."""
