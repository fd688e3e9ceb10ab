"""Files that must be refused, by name, each with the reason for which it is."""
