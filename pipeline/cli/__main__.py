"""`python -m pipeline.cli`: the same as `aisle`."""

from pipeline.cli.app import main

main()
