"""One connection as a sans-I/O conversation: protocol times policy gives commands."""
