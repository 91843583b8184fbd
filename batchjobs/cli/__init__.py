"""The command line: the only click import; errors become sentences and exit codes here."""

from batchjobs.cli.main import main

__all__ = ["main"]
