"""Measurements: `make bench`. Figures are ratios of one run on one machine, not promises."""
