"""Rows on disk: what outlives a restart."""
