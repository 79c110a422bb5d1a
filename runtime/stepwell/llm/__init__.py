"""Models: one port, thin adapters over the providers' own SDKs."""
