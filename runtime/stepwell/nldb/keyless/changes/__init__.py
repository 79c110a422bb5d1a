"""What words can change, one file for each way: the rules of `keyless.writes`."""
