"""Penstock: an observable network proxy. Python decides, the kernel carries, the ledger remembers."""

__version__ = "0.1.0"
