"""The command `bind`."""

import dataclasses
import sys
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say, show_progress
from batchjobs.cli.options import RUN_FOLDER, defaults_option, json_option, option, setting_options
from batchjobs.formatting import duration, plural
from batchjobs.options import fill, settings_of
from batchjobs.options.audiobook import BindSettings


@click.command()
@RUN_FOLDER
@option(
    "-o",
    "--output",
    envvar=None,
    type=click.Path(path_type=Path),
    help="The file, or the folder of files.  [default: the book's title, in RUN]",
)
@setting_options(settings_of(BindSettings))
@json_option
@defaults_option
def bind(folder: Path, *, output: Path | None, as_json: bool, **given: object) -> None:
    """Bind the chapters of RUN as an audiobook, in the manifest's order.

    \b
    Example:
        batchjobs bind outputs/alice -o alice.m4b
    """
    from batchjobs.audiobook import bind as bound
    from batchjobs.audiobook.cover import SHOWN_PICTURES

    settings = fill(BindSettings, given)
    with exit_on_error():
        made = bound(
            folder,
            settings,
            output=output,
            progress=_show_share if sys.stderr.isatty() else None,
        )
    if made.lost_cover:
        say(f"no cover: {made.lost_cover} is no {SHOWN_PICTURES} here; give --cover", sys.stderr)
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
    for note in made.notes:
        say(note)


def _show_share(what: str, share: float) -> None:
    show_progress(f"{what} {share:.0%}")
