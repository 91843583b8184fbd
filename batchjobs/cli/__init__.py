"""The command line: the only click import; errors become sentences and exit codes here."""

from batchjobs.cli.main import cli, main

__all__ = ["cli", "main"]
