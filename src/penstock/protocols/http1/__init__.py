"""HTTP/1 on the wire (RFC 9110, RFC 9112), as a forward proxy needs it: heads, bodies, answers, and nothing else."""
