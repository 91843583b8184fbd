"""The run folder: what every file in it is called, and which names a run keeps for itself."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Final

CHECKPOINT: Final = "checkpoint.sqlite3"
BUCKET: Final = f"{CHECKPOINT}.bucket"
"""Where the results are, if they are in a bucket."""
RESULTS: Final = "results.jsonl"
FAILED: Final = "failed.jsonl"
SUMMARY: Final = "summary.json"
PAGE: Final = "report.html"
"""To look at and listen to, with what was decided there, and wave forms that were measured for it."""
REVIEW: Final = "review.jsonl"
WAVEFORMS: Final = "report.waveforms"
BESIDE: Final = "beside.jsonl"
"""Which transcripts beside recordings are ours."""
WATCH: Final = "watch.json"
"""What a watch has seen last, for whoever looks whether it is well."""
GLOSSARY: Final = "glossary.jsonl"
"""What the terms of a glossary were heard as."""
FETCHED: Final = f"{CHECKPOINT}.fetched"
"""Holds recordings from a bucket until they are heard. Begins as no result's path ever might."""
HELD: Final = f"{CHECKPOINT}.held"
"""Holds results from a bucket while they are read, a folder for each who reads."""
CONTROL: Final = "control.sock"
"""Where a running run is asked for something: `batchjobs ctl`."""
WORKERS: Final = ".workers"
"""What workers elsewhere know the folder by."""
LOG: Final = "run.log"
"""What a run says that goes on without a terminal."""
REPORTS: Final = (RESULTS, FAILED, SUMMARY)
SEGMENTS: Final = "segments"
"""Holds finished parts of unfinished long jobs, and of those whose format keeps no exact samples."""
SUSPECTS: Final = "suspect"
"""Holds results in doubt: paid for, never under a final name, until they are accepted."""
CHECK: Final = "check"
"""Holds the run in which a check has the clips heard."""
TAKES: Final = "takes"
"""Holds the run in which bad clips are bought again, and the clips that were not kept."""
_AUDIO: Final = "audio"
_TRANSCRIPTS: Final = "transcripts"
_TRANSCRIPT: Final = ".txt"
_BESIDE_TRANSCRIPT: Final = (".json", ".srt", ".vtt")
# The JSON of a transcript in summary.txt would stand in the place of the run's own summary.json.
_RESERVED: Final = frozenset(
    {
        SEGMENTS,
        SUSPECTS,
        *REPORTS,
        PAGE,
        REVIEW,
        WAVEFORMS,
        BESIDE,
        WATCH,
        GLOSSARY,
        CONTROL,
        WORKERS,
        LOG,
        f"{Path(SUMMARY).stem}{_TRANSCRIPT}",
    }
)


def is_reserved(output: str) -> bool:
    """Whether a result's path begins with a name that is the run's own, in any case of its letters."""
    first = output.partition("/")[0].casefold()
    return first in _RESERVED or first.startswith(CHECKPOINT)


def usual_path(stem: str, audio_format: str | None) -> str:
    """Give the path of a result whose row names none.

    Args:
        stem: The file's name without its ending.
        audio_format: Of speech; None for a transcript.
    """
    if audio_format is None:
        return f"{_TRANSCRIPTS}/{stem}{_TRANSCRIPT}"
    return f"{_AUDIO}/{stem}.{audio_format}"


def is_in_usual_place(output: str) -> bool:
    """Whether a result stands in one of the folders that `usual_path` names."""
    return str(PurePosixPath(output).parent) in {_AUDIO, _TRANSCRIPTS}


def path_beside(output: str, ending: str) -> str:
    """Give the path of another file of a transcript."""
    path = Path(output)
    other = path.with_suffix(ending)
    return str(other if other != path else path.with_name(path.name + ending))


def files_of_result(output: str) -> list[str]:
    """Give the paths of all files of a result, the main one first."""
    if not output.lower().endswith(_TRANSCRIPT):  # a string, for a million rows
        return [output]
    return [output, *(path_beside(output, ending) for ending in _BESIDE_TRANSCRIPT)]


def segment_path(key: str, number: int = 1) -> str:
    """Give the path of a file for one segment.

    Args:
        key: The segment's.
        number: Not 1 if another file of this segment is in the way.
    """
    return f"{SEGMENTS}/{key}.wav" if number == 1 else f"{SEGMENTS}/{key}.{number}.wav"


def scratch_path(key: str, mark: str, ending: str) -> str:
    """Give the path of a file for one segment that is to be moved to where it is decided it will be.

    Whoever sweeps the folder removes what is left of these.

    Args:
        key: The segment's.
        mark: Of the attempt.
        ending: With its dot.
    """
    return f"{SEGMENTS}/{key}.{mark}{ending}"


def is_segment_file(path: str) -> bool:
    """Whether a file holds one segment and nothing else."""
    return path.startswith(f"{SEGMENTS}/")


def suspect_path(stem: str, ending: str, taken: Collection[str]) -> str:
    """Give a free path for a result in doubt.

    Args:
        stem: The file's name without its ending; no stem has a tilde.
        ending: With its dot.
        taken: Paths that are not free.
    """
    path, number = f"{SUSPECTS}/{stem}{ending}", 1
    while path in taken:
        number += 1
        path = f"{SUSPECTS}/{stem}~{number}{ending}"
    return path
