"""Bans of a node: what is banned, by whom, until when; kept, and handed to workers."""
