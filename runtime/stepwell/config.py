"""Settings: defaults here, then `config.toml` in the home, then `STEPWELL_SECTION__KEY`, then flags."""
