"""The store on PostgreSQL: many processes, one log."""
