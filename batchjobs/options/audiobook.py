"""The settings of an audiobook, for the command `bind` and for Python."""

from dataclasses import dataclass
from pathlib import Path

from batchjobs.errors import PYTHON_NAMES
from batchjobs.options.setting import describe, name_for_python, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class BindSettings:
    """How an audiobook is made."""

    form: str = setting(
        "One M4B with chapter marks, or a folder with a tagged file for each chapter.",
        default="m4b",
        flag="--to",
        choices=("m4b", "mp3", "flac"),
    )
    loudness_lufs: float = setting(
        "Integrated loudness of the whole (EBU R 128).",
        default=-19.0,
        flag="--loudness",
        metavar="LUFS",
        least=-40,
        most=-8,
    )
    true_peak_db: float = setting(
        "Its highest peak.", default=-1.5, flag="--true-peak", metavar="DBTP", least=-12, most=0
    )
    bitrate: int = setting(
        "For AAC and MP3.", default=64_000, metavar="BITS/S", least=16_000, most=320_000
    )
    pause_seconds: float = setting(
        "Silence between chapters.",
        default=2.0,
        flag="--pause",
        metavar="SECONDS",
        least=0,
        most=60,
    )
    cover: Path | None = setting(
        "A picture in place of the book's cover.", default=None, path="any"
    )
    is_partial: bool = setting(
        "Bind what is done, without the rest.", default=False, flag="--partial"
    )


BindSettings.__doc__ = describe(BindSettings)
PYTHON_NAMES.update(name_for_python(BindSettings))
