"""Databases as tools: what a model may ask of a datasource, and what it never can do to it."""
