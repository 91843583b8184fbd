"""The commands for audiobooks: `book` and `bind`."""

import dataclasses
import shlex
import sys
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.next_step import quote_command
from batchjobs.cli.options import RUN_FOLDER, defaults_option, json_option, option
from batchjobs.formatting import duration, plural

__all__ = ["bind", "book"]


@click.command(short_help="Make a manifest of an EPUB, text or Markdown.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option(
    "-o",
    "--output",
    envvar=None,
    type=click.Path(dir_okay=False, path_type=Path),
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
    from batchjobs.planning import LETTERS_PER_SECOND
    from batchjobs.text import speech_weight

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
    seconds = sum(map(speech_weight, texts)) / LETTERS_PER_SECOND
    say(f"  {'':>4}  {sum(map(len, texts)):>9,} characters, about {duration(seconds)} to listen to")
    for line in found.left_out:
        say(f"left out: {line}")
    if not only_list:
        texts_folder = shlex.quote(str(target.with_suffix("")))
        say(f"next: look through {texts_folder}, then {quote_command('run', target)}")


@click.command(short_help="Bind a run's chapters as an audiobook.")
@RUN_FOLDER
@option(
    "-o",
    "--output",
    envvar=None,
    type=click.Path(path_type=Path),
    help="The file, or the folder of files.  [default: the book's title, in RUN]",
)
@option(
    "--to",
    "form",
    type=click.Choice(["m4b", "mp3", "flac"]),
    default="m4b",
    show_default=True,
    help="One M4B with chapter marks, or a folder with a tagged file for each chapter.",
)
@option(
    "--loudness",
    "loudness_lufs",
    type=click.FloatRange(-40, -8),
    default=-19.0,
    show_default=True,
    metavar="LUFS",
    help="Integrated loudness of the whole (EBU R 128).",
)
@option(
    "--true-peak",
    "true_peak_db",
    type=click.FloatRange(-12, 0),
    default=-1.5,
    show_default=True,
    metavar="DBTP",
    help="Its highest peak.",
)
@option(
    "--bitrate",
    type=click.IntRange(16_000, 320_000),
    default=64_000,
    show_default=True,
    metavar="BITS/S",
    help="For AAC and MP3.",
)
@option(
    "--pause",
    "pause_seconds",
    type=click.FloatRange(0, 60),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Silence between chapters.",
)
@option(
    "--cover",
    type=click.Path(exists=True, path_type=Path),
    help="A JPEG or PNG in place of the book's cover.",
)
@option("--partial", "is_partial", is_flag=True, help="Bind what is done, without the rest.")
@json_option
@defaults_option
def bind(folder: Path, *, output: Path | None, as_json: bool, **given: object) -> None:
    """Bind the chapters of RUN as an audiobook, in the manifest's order.

    \b
    Example:
        batchjobs bind outputs/alice -o alice.m4b
    """
    from batchjobs.audiobook import BindSettings
    from batchjobs.audiobook import bind as bound

    settings = BindSettings(**given)  # type: ignore[arg-type]
    with exit_on_error():
        made = bound(
            folder, settings, output=output, progress=_shown if sys.stderr.isatty() else None
        )
    if made.lost_cover:
        say(f"no cover: {made.lost_cover} is no JPEG or PNG here; give --cover", sys.stderr)
    if as_json:
        print_json(dataclasses.asdict(made) | {"path": str(made.path)})
        return
    say(f"{plural(made.chapters, 'chapter')}, {duration(made.seconds)}: {made.path}")
    way = "raised" if made.gain_db >= 0 else "lowered"
    held = ", with its peaks held down" if made.is_limited else ""
    say(
        f"loudness {made.reached_lufs:.1f} LUFS: {made.measured_lufs:.1f} LUFS {way} by "
        f"{abs(made.gain_db):.1f} dB{held}; highest true peak {made.peak_db:.1f} dB"
    )
    if settings.loudness_lufs - made.reached_lufs > 0.5:
        say(
            f"quieter than {settings.loudness_lufs:g} LUFS: its peaks allow no more; "
            "a higher --true-peak or --bitrate does"
        )
    if made.missing:
        say(f"without: {', '.join(made.missing)}")


def _shown(what: str, share: float) -> None:
    sys.stderr.write(f"\r\x1b[K{what} {share:.0%}\r")
    sys.stderr.flush()
