"""Certificates that the node gets by itself: asked for, proved, kept and renewed (RFC 8555)."""
