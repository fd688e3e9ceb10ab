"""What the server keeps: rows in SQLite and files by digest."""
