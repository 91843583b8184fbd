"""A file of decisions: ``review.jsonl``, as the page of a run saves it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from batchjobs.checkpoint import Decision
from batchjobs.errors import ReviewError

_MOST_TOLD: Final = 20


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file.

    Attributes:
        run: What tells the run from every other.
        id: The row's.
        decision: What was decided.
        note: What was noted beside it.
        sha256: Of the clip that was listened to, or the transcript that was read; empty if the
            row has none.
        line: Its number in the file.
    """

    run: str
    id: str
    decision: Decision
    note: str = ""
    sha256: str = ""
    line: int = 0


def read_decisions(path: Path) -> list[DecisionLine]:
    """Read a file of decisions, each row's once.

    Raises:
        ReviewError: It cannot be read, or a line is not whole, or two of them disagree.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReviewError(f"cannot read {path}: {error.strerror}") from error
    found: dict[str, DecisionLine] = {}
    problems: list[str] = []
    for line in _read_lines(content, problems):
        first = found.setdefault(line.id, line)
        if (first.decision, first.note, first.sha256) != (line.decision, line.note, line.sha256):
            problems.append(
                f"line {line.line}: '{line.id}' is decided otherwise on line {first.line}"
            )
    refuse(path, problems)
    return list(found.values())


def write_decisions(lines: Iterable[DecisionLine]) -> Iterator[bytes]:
    """Write decisions as a file of them."""
    for line in lines:
        told = {name: getattr(line, name) for name in ("run", "id", "decision", "note", "sha256")}
        yield msgspec.json.encode(told) + b"\n"


def refuse(path: Path, problems: list[str]) -> None:
    """Refuse a file in which something is wrong, and say what.

    Raises:
        ReviewError: Something is.
    """
    if not problems:
        return
    told = problems[:_MOST_TOLD]
    if len(problems) > len(told):
        told.append(f"and {len(problems) - len(told):,} more")
    raise ReviewError(
        "\n".join(f"{path}: {problem}" for problem in told),
        hint="nothing was changed; make a new report, and decide there about what it names",
    )


def _read_lines(content: bytes, problems: list[str]) -> Iterator[DecisionLine]:
    decoder = msgspec.json.Decoder(DecisionLine)
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.structs.replace(decoder.decode(line), line=number)
        except msgspec.DecodeError as error:
            problems.append(f"line {number}: is no decision, or not all of one: {error}")
