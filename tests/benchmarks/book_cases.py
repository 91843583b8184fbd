"""The case of a book that is bound, beside FFmpeg's command lines."""

from typing import Final

from tests.benchmarks.case import Case, Program, Row, ratio

__all__ = ["CASES"]

_PEER: Final = "ffmpeg, two commands"
_AGAIN: Final = "again"


def _program(module: str, *others: str) -> Program:
    arguments = ("--scratch", "{scratch}", "--sessions", "13", *others)
    return Program(module=module, arguments=arguments, quick=("--sessions", "1"))


_BIND: Final = Case(
    name="bind",
    programs={
        "ours": _program("ours.binding"),
        _PEER: _program("peers.ffmpeg_binding"),
        _AGAIN: _program("ours.binding", "--again"),
    },
    rows=(
        Row(
            name="bind-wall",
            measure=ratio("wall_seconds", "ours", _PEER, per_session=False),
            peer=_PEER,
        ),
        Row(
            name="bind-again",
            measure=ratio("wall_seconds", _AGAIN, _PEER, per_session=False),
            peer=_PEER,
        ),
    ),
    rounds=3,
)
CASES: Final = (_BIND,)
