"""What a running process tells of itself: numbers for Prometheus, spans for OpenTelemetry.

The instruments are here; what is counted, and when, is said where it happens. The engine knows
nothing of it: its events are its log.
"""
