"""The front ends' host: gRPC services, the daemon and the command line."""
