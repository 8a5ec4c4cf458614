"""Decisions: the same facts and time give the same answer."""
