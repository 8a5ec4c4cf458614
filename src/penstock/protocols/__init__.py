"""Words of the wire, sans-I/O: one file per protocol, parse beside serialize, RFC sections beside rules."""
