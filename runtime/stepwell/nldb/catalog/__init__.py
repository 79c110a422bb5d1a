"""What there is in a database, as its own catalog says: the only place here that knows SQLAlchemy."""
