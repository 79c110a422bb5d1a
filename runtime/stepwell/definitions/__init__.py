"""Workflow definitions: YAML or Python in, a checked graph out."""
