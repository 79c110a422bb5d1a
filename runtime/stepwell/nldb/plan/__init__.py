"""A question or a change as a plan: values that a model or the matcher fills in, SQL by code."""
