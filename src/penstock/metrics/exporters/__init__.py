"""The snapshot in the words of other systems."""
