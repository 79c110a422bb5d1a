"""Stepwell: durable workflows of agents and tools, governed, behind MCP and gRPC."""
