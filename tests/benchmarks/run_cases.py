"""The cases about whole runs: manifest, sessions, files, commits; planning; how commands begin."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.benchmarks.case import Case, Program, Row, difference, ratio, share_of_ideal, value

__all__ = ["CASES"]

_PIPELINE: Final = "ours.pipeline"
_SCRIPT: Final = "peers.files_script"
_OLD_SOCKET: Final = "ours, old socket at its pace"
_PEER: Final = "script without sync or commit"
"""It says so of itself: soundfile syncs each file that it closes."""
_LEAST: Final = "script, our codec, synced and committed"
_WORKERS: Final = ("--workers", "2")
_WITH_WORKERS: Final = "ours, two workers"
_HERE: Final = "ours, one process"
_STREAMING: Final = "paced-20"
_STREAMING_SECONDS: Final = 2.0
"""Twenty messages, ten a second."""
_FEW_JOBS: Final = 1_000
_MANY_JOBS: Final = 30_000
_ROWS: Final = 1_000_000


def _files(module: str, sessions: int, *others: str, quick: tuple[str, ...] = ()) -> Program:
    """Make a program that writes a file a session."""
    where = ("--url", "{ws}", "--scratch", "{scratch}")
    return Program(
        module=module,
        arguments=(*where, "--sessions", str(sessions), *others),
        quick=("--sessions", "4", *quick),
    )


def _jobs(
    name: str,
    sessions: int,
    rows: tuple[Row, ...],
    others: Mapping[str, str] = MappingProxyType({}),
) -> Case:
    """Make the case of whole jobs in a format, thirty-two at once and as fast as they go."""
    form = ("--kind", "tts", "--format", name)
    return Case(
        name=f"job-{name}",
        programs={
            "ours": _files(_PIPELINE, sessions, *form),
            _PEER: _files(_SCRIPT, sessions, *form),
            **{peer: _files(module, sessions, *form) for peer, module in others.items()},
        },
        rows=rows,
    )


def _wall(name: str) -> Row:
    return Row(name=f"job-wall-{name}", measure=ratio("wall_seconds", "ours", _PEER), peer=_PEER)


def _jobs_of_workers(name: str, sessions: int, others: tuple[Row, ...] = ()) -> Case:
    """Make the case of whole jobs whose sessions two other processes have.

    There are four times as many as without: two more interpreters take a second to start, once.
    """
    form = ("--kind", "tts", "--format", name)
    wall = ratio("wall_seconds", _WITH_WORKERS, _PEER)
    return Case(
        name=f"workers-{name}",
        programs={
            _WITH_WORKERS: _files(_PIPELINE, sessions, *form, *_WORKERS),
            _HERE: _files(_PIPELINE, sessions, *form),
            _PEER: _files(_SCRIPT, sessions, *form),
        },
        rows=(Row(name=f"workers-wall-{name}", measure=wall, peer=_PEER), *others),
    )


def _throughput(concurrency: int, *others: str, name: str = "throughput") -> Case:
    """Make the case of a paced service, which each slot is to meet twenty times."""
    every = ("--kind", _STREAMING, "--concurrency", str(concurrency), *others)
    ideal = share_of_ideal("ours", session_seconds=_STREAMING_SECONDS, concurrency=concurrency)
    return Case(
        name=f"{name}-{concurrency}",
        programs={
            "ours": _files(
                _PIPELINE,
                20 * concurrency,
                *every,
                quick=("--kind", "paced-15", "--concurrency", "4"),
            )
        },
        rows=(Row(name=f"{name}-{concurrency}", measure=ideal, peer="ideal"),),
    )


def _tiny(jobs: int) -> Program:
    return _files(_PIPELINE, jobs, "--kind", "tiny")


def _planning(what: str, *, rounds: int | None = None) -> Case:
    """Make the case of a whole command over very many rows."""
    arguments = (what, "--sessions", str(_ROWS), "--scratch", "{scratch}")
    return Case(
        name=what,
        programs={
            "ours": Program(module="ours.planning", arguments=arguments, quick=("--sessions", "50"))
        },
        rows=(
            Row(name=f"{what}-wall", measure=value("wall_seconds", "ours")),
            Row(name=f"{what}-memory", measure=value("peak_bytes", "ours")),
        ),
        rounds=rounds,
    )


def _hour(kind: str) -> Program:
    """Make the program that hears an hour; the quick form hears a tenth of a minute."""
    where = ("--url", "{ws}", "--scratch", "{scratch}", "--kind", kind)
    quick = ("--minutes", "0.17")
    return Program(module="ours.hearing", arguments=(*where, "--minutes", "60"), quick=quick)


CASES: Final = (
    _jobs(
        "wav",
        1_000,
        (
            Row(name="job-cpu-wav", measure=ratio("cpu_seconds", "ours", _PEER), peer=_PEER),
            Row(name="job-cpu-wav-least", measure=ratio("cpu_seconds", _LEAST, _PEER), peer=_PEER),
            _wall("wav"),
        ),
        {_LEAST: "peers.durable_script"},
    ),
    _jobs(
        "flac",
        600,
        (
            _wall("flac"),
            Row(
                name="lag-flac",
                measure=ratio("lag_p99_seconds", "ours", _PEER, per_session=False),
                peer=_PEER,
            ),
            Row(name="lag-flac-seconds", measure=value("lag_p99_seconds", "ours")),
            Row(name="turn-flac", measure=value("turn_p99_seconds", "ours")),
            Row(name="turn-flac-longest", measure=value("turn_max_seconds", "ours")),
        ),
    ),
    _jobs("mp3", 200, (_wall("mp3"),)),
    _throughput(64),
    _throughput(512),
    _throughput(512, *_WORKERS, name="workers"),
    _jobs_of_workers(
        "wav",
        4_000,
        (
            Row(
                name="workers-owner-cpu",
                measure=ratio("cpu_seconds", _WITH_WORKERS, _HERE),
                peer=_HERE,
            ),
        ),
    ),
    _jobs_of_workers("flac", 2_400),
    Case(
        name="hour",
        programs={"ours": _hour("listen"), _OLD_SOCKET: _hour("talk")},
        rows=(
            Row(
                name="hour-wall",
                measure=ratio("wall_seconds", "ours", _OLD_SOCKET, per_session=False),
                peer=_OLD_SOCKET,
            ),
        ),
        rounds=1,
    ),
    _planning("skip"),
    _planning("edited", rounds=3),
    _planning("fresh"),
    Case(
        name="growth",
        programs={"many jobs": _tiny(_MANY_JOBS), "few jobs": _tiny(_FEW_JOBS)},
        rows=(
            Row(
                name="growth-cpu",
                measure=ratio("cpu_seconds", "many jobs", "few jobs"),
                peer="few jobs",
            ),
            Row(
                name="growth-memory",
                measure=difference("peak_bytes", "many jobs", "few jobs"),
                peer="few jobs",
            ),
        ),
    ),
    Case(
        name="start",
        programs={"ours": Program(module="ours.start", quick=("--rounds", "1"))},
        rows=(
            Row(name="start-help", measure=value("help_extra_seconds", "ours")),
            Row(name="start-session", measure=value("first_session_extra_seconds", "ours")),
        ),
    ),
)
