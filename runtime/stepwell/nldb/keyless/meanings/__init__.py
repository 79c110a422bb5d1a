"""What the slots of a frame mean from one table of the database."""
