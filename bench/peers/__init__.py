"""Other engines under the same load. Each runs in a process of an environment of their own."""
