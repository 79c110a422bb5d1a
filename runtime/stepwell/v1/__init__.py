"""Code generated from proto/stepwell/v1 by `make proto`; `make verify` proves it fresh."""
