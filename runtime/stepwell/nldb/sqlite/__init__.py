"""What runs in a child process against a SQLite file. Nothing here runs in the daemon."""
