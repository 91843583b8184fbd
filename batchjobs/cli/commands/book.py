"""The command `book`."""

import shlex
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, say
from batchjobs.cli.options import LocalPath, defaults_option, option
from batchjobs.formatting import duration
from batchjobs.process.invocation import quote_command


@click.command()
@click.argument("file", type=LocalPath(exists=True, dir_okay=False, path_type=Path))
@option(
    "-o",
    "--output",
    envvar=None,
    type=LocalPath(dir_okay=False, path_type=Path),
    help="The manifest.  [default: <FILE's stem>.jsonl here]",
)
@option("--chapters", default="", metavar="1-3,7", help="Only these chapters.")
@option("--voice", default="", help="The voice of every chapter.")
@option(
    "--depth",
    type=click.IntRange(1, 20),
    help="How many levels of an EPUB's contents begin chapters.  [default: judged by its pages]",
)
@option("--list", "only_list", is_flag=True, help="Show the chapters and write nothing.")
@option("--force", is_flag=True, help="Replace files that are there already.")
@defaults_option
def book(
    file: Path,
    *,
    output: Path | None,
    chapters: str,
    voice: str,
    depth: int | None,
    only_list: bool,
    force: bool,
) -> None:
    """Make a manifest of FILE, an EPUB, text or Markdown: a job a chapter, in reading order.

    The chapters' texts stand in a folder beside the manifest, to be looked through and edited.
    Notes, pictures, navigation and title pages are left out.

    \b
    Examples:
        batchjobs book alice.epub --list
        batchjobs book alice.epub && batchjobs run alice.jsonl && batchjobs bind outputs/alice
    """
    from batchjobs import book as books
    from batchjobs.text import ReadingTime

    with exit_on_error():
        found = books.read_book(file, depth=depth)
        numbers = books.select_chapters(found, chapters)
        target = output or Path(f"{file.stem}.jsonl")
        if not only_list:
            books.write_manifest(found, numbers, target, voice=voice, overwrite=force)
    say(f"{found.title}{', ' * bool(found.authors)}{', '.join(found.authors)}")
    for number in numbers:
        chapter = found.chapters[number - 1]
        say(f"  {number:>4}  {len(chapter.text):>9,} characters  {chapter.title}")
    texts = [found.chapters[number - 1].text for number in numbers]
    reading_time, characters = ReadingTime(), sum(map(len, texts))
    for text in texts:
        reading_time.add(text)
    seconds = reading_time.estimate_seconds(characters)
    say(f"  {'':>4}  {characters:>9,} characters, about {duration(seconds)} to listen to")
    for line in found.left_out:
        say(f"left out: {line}")
    if not only_list:
        texts_folder = shlex.quote(str(target.with_suffix("")))
        say(f"next: look through {texts_folder}, then {quote_command('run', target)}")
