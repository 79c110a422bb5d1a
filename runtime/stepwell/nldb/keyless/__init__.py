"""Understands plain English questions without a model, or says why it does not."""
