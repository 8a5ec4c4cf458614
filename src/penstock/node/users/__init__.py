"""Users of files: who they are, and whether a login is right."""
