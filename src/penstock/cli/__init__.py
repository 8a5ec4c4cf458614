"""The command line: introduces the rooms to each other."""
