"""Metrics sent to others: to whom, how often, and what happens when nobody takes them."""
