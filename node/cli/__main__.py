"""`python -m node.cli` is `tally`, for where no script is installed."""

from node.cli import main

main()
