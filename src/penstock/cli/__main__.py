"""`python -m penstock.cli`: the command line where its script is not on the path."""

from penstock.cli.main import main

main()
