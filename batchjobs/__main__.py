"""``python -m batchjobs``: the command line."""

from batchjobs.cli import main

main()
