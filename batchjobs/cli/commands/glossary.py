"""The command `glossary`."""

from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, glossary_of, print_json, say
from batchjobs.cli.options import RUN_FOLDER, LocalPath, defaults_option, json_option


@click.command()
@RUN_FOLDER
@click.argument("terms", type=LocalPath(path_type=Path, dir_okay=False))
@json_option
@defaults_option
def glossary(folder: Path, terms: Path, *, as_json: bool) -> None:
    """List what the TERMS of a file were heard as in the transcripts of RUN. Buys nothing.

    A term a line; 'term = spelling, spelling' if others are right, too; lines that begin with # say
    nothing. Forms of a term (with ال, و, ب, ل, ك, a plural's s, a pronoun) count as heard right.

    \b
    Examples:
        batchjobs glossary outputs/archive terms.txt
    """
    from batchjobs.api.glossary import find_terms

    with exit_on_error():
        found = find_terms(folder, terms)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found.terms))
        return
    for line in glossary_of(found):
        say(line)
