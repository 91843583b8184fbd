"""The settings of a watch, for the command `watch` and for Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchjobs.errors import PYTHON_NAMES
from batchjobs.options.setting import describe, name_for_python, setting

DEFAULT_SETTLE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How a folder is watched, and what becomes of its recordings."""

    manifest: Path | None = setting(
        "The manifest that grows with the folder, JSON Lines.",
        default=None,
        metavar="FILE",
        default_shown="<FOLDER's name>.jsonl here",
    )
    every_seconds: float = setting(
        "How long between two looks through FOLDER; in one of hundreds of thousands of files twenty "
        "times as long as a look takes, if that is longer.",
        default=10.0,
        flag="--every",
        metavar="SECONDS",
        least=1,
    )
    settle_seconds: float = setting(
        "How long a file must not have changed: it may still be copied.",
        default=DEFAULT_SETTLE_SECONDS,
        flag="--settle",
        metavar="SECONDS",
        least=0,
    )
    follows_links: bool = setting(
        "Follow links, where a run follows them.", default=False, flag="--links"
    )
    done_folder: Path | None = setting(
        "Move recordings there once their transcripts are on the disk, to the same path below it.",
        default=None,
        metavar="DIR",
    )
    beside: bool = setting(
        "Write each transcript beside its recording, too: as .txt and .srt.", default=False
    )


WatchSettings.__doc__ = describe(WatchSettings)
PYTHON_NAMES.update(name_for_python(WatchSettings))
