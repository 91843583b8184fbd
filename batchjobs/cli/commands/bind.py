"""The command `bind`."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Final, Self

import click

from batchjobs.cli.console import exit_on_error, print_json, say, show_progress
from batchjobs.cli.options import (
    RUN_FOLDER,
    LocalPath,
    defaults_option,
    json_option,
    option,
    setting_options,
)
from batchjobs.formatting import duration, plural
from batchjobs.options import fill, settings_of
from batchjobs.options.audiobook import BindSettings

_SHOWN_SECONDS: Final = 0.25
_BAR_COLUMNS: Final = 30
_LEAST_SHARE: Final = 0.02
"""Before that nothing can be said of the time that is left."""


@click.command()
@RUN_FOLDER
@option(
    "-o",
    "--output",
    envvar=None,
    type=LocalPath(path_type=Path),
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
    with exit_on_error(), _Bar() as bar:
        made = bound(folder, settings, output=output, progress=bar if sys.stderr.isatty() else None)
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


class _Bar:
    """One bar over all that is done, with the time that is left."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wipe the line."""
        if self._shown > self._began:
            show_progress("")

    def __call__(self, what: str, share: float) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if now - self._shown < _SHOWN_SECONDS:
            return
        self._shown = now
        filled = "#" * round(_BAR_COLUMNS * share)
        left = duration((now - self._began) * (1 - share) / share) if share > _LEAST_SHARE else "?"
        show_progress(f"{what:<10} {share:4.0%} [{filled:-<{_BAR_COLUMNS}}] {left} left")
