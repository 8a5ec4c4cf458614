"""Hands of a node: processes, sampler, admin door."""
