"""Faults on purpose: what ``--fault`` names, and which sessions it strikes."""

import difflib
import enum
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from batchjobs.errors import UsageError
from batchjobs.jobs import Kind

_FORM: Final = re.compile(
    r"(?P<name>[a-z-]+)(:(?P<argument>[^@#]+))?(@(?P<probability>[^@#]+))?(#(?P<sessions>[1-9]\d*))?"
)
_NOT_NOUGHT: Final = r"(?!0*\.?0*$)"
_NUMBER: Final = r"\d+(\.\d+)?|\.\d+"


class FaultName(enum.StrEnum):
    """The ways to misbehave."""

    DROP = "drop"
    HANG = "hang"
    THROTTLE = "throttle"
    THROTTLE_HANDSHAKE = "throttle-handshake"
    GARBAGE = "garbage"
    TRUNCATE = "truncate"
    SLOW = "slow"
    ERROR = "error"
    ERROR_STRING = "error-string"
    CLOSE = "close"
    SILENT = "silent"
    MUTE = "mute"
    HANDSHAKE = "handshake"
    SILENCE = "silence"
    HALF_SAMPLE = "half-sample"
    RATE_CHANGE = "rate-change"


_BOTH: Final = frozenset({Kind.TTS, Kind.STT})
_TTS_ONLY: Final = frozenset({Kind.TTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultForm:
    """How a fault is asked for.

    Attributes:
        pattern: What its argument looks like; empty if it takes none.
        default: The argument if none is given; None if one must be.
        kinds: The sessions it can strike.
    """

    pattern: str = ""
    default: str | None = ""
    kinds: frozenset[Kind] = _BOTH


FAULTS: Mapping[FaultName, FaultForm] = MappingProxyType(
    {
        FaultName.DROP: FaultForm(),
        FaultName.HANG: FaultForm(),
        FaultName.THROTTLE: FaultForm(pattern=r"\d+", default="0"),
        FaultName.THROTTLE_HANDSHAKE: FaultForm(pattern=r"\d+", default="1"),
        FaultName.GARBAGE: FaultForm(),
        FaultName.TRUNCATE: FaultForm(),
        FaultName.SLOW: FaultForm(
            pattern=f"{_NOT_NOUGHT}({_NUMBER})",
            default="0.05",
        ),
        FaultName.ERROR: FaultForm(pattern=r"\d{3,6}", default="50001"),
        FaultName.ERROR_STRING: FaultForm(pattern=r"\d{3,6}", default="50001"),
        FaultName.CLOSE: FaultForm(
            # What the library may send: 1004 to 1006 and 1015 are for local use only.
            pattern=r"100[0-37-9]|101[0-4]|[34]\d{3}",
            default="1011",
        ),
        FaultName.SILENT: FaultForm(),
        FaultName.MUTE: FaultForm(),
        FaultName.HANDSHAKE: FaultForm(pattern=r"[3-5]\d\d", default="503"),
        FaultName.SILENCE: FaultForm(kinds=_TTS_ONLY),
        FaultName.HALF_SAMPLE: FaultForm(kinds=_TTS_ONLY),
        FaultName.RATE_CHANGE: FaultForm(kinds=_TTS_ONLY),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One ``--fault``.

    Attributes:
        name: The way to misbehave.
        argument: As text, checked; the default if none was given.
        probability: 0 to 1: the share of sessions it strikes.
        sessions: How many sessions it strikes before it stops; 0 for no end.
    """

    name: FaultName
    argument: str = ""
    probability: float = 1.0
    sessions: int = 0

    def __str__(self) -> str:
        """Write it as `parse_fault` reads it."""
        argument = f":{self.argument}" if self.argument else ""
        share = "" if self.probability == 1.0 else f"@{self.probability:g}"
        count = f"#{self.sessions}" if self.sessions else ""
        return f"{self.name}{argument}{share}{count}"


def parse_fault(spec: str) -> Fault:
    """Read ``NAME[:ARGUMENT][@PROBABILITY][#SESSIONS]``, as ``error:50001@0.1`` or ``drop#2``.

    Raises:
        UsageError: No such fault, or an argument it does not take.
    """
    match = _FORM.fullmatch(spec.strip())
    name = match["name"] if match else spec.strip().partition(":")[0]
    if match is None or name not in set(FaultName):
        raise UsageError(f"no fault '{spec}'", hint=_faults_hint(name))
    argument = match["argument"]
    if name == FaultName.ERROR and argument and argument[0] == argument[-1] == '"':
        name, argument = FaultName.ERROR_STRING, argument[1:-1]
    form = FAULTS[FaultName(name)]
    if argument is None:
        argument = form.default
    elif not form.pattern or not re.fullmatch(form.pattern, argument):
        takes = "an argument like that" if form.pattern else "an argument"
        shown = f"{name}:{form.default}" if form.default else name
        raise UsageError(f"the fault '{name}' does not take {takes}: '{spec}'", hint=f"as {shown}")
    return Fault(
        name=FaultName(name),
        argument=argument or "",
        probability=_probability(match["probability"], spec),
        sessions=int(match["sessions"] or 0),
    )


def _probability(text: str | None, spec: str) -> float:
    if text is None:
        return 1.0
    if not re.fullmatch(_NUMBER, text) or not 0.0 <= float(text) <= 1.0:
        raise UsageError(f"'{text}' in the fault '{spec}' is no probability", hint="give 0 to 1")
    return float(text)


def _faults_hint(name: str) -> str:
    close = difflib.get_close_matches(name, list(FaultName), n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"the faults are {', '.join(FaultName)}; as NAME[:ARGUMENT][@PROBABILITY][#SESSIONS]"


class Dice:
    """Decides which fault strikes which session, the same for the same seed and order.

    Args:
        faults: In order; the first that strikes wins.
        seed: Of the dice.
    """

    __slots__ = ("_faults", "_random", "_struck")

    def __init__(self, faults: Sequence[Fault], *, seed: int) -> None:
        self._faults = tuple(faults)
        self._struck = [0] * len(self._faults)
        self._random = random.Random(seed)  # noqa: S311 - chance, no secret

    def choose(self, kind: Kind, *, open_sessions: int) -> Fault | None:
        """Choose for a new session.

        Args:
            kind: What the session is for.
            open_sessions: Sessions open at once, this one included.
        """
        chosen = None
        for i, fault in enumerate(self._faults):
            # Every die is thrown for every session: one fault's count does not move another's luck.
            strikes = self._random.random() < fault.probability
            if chosen is None and strikes and self._may_strike(i, kind, open_sessions):
                self._struck[i] += 1
                chosen = fault
        return chosen

    def _may_strike(self, i: int, kind: Kind, open_sessions: int) -> bool:
        fault = self._faults[i]
        if fault.name is FaultName.THROTTLE and open_sessions <= int(fault.argument):
            return False
        if fault.sessions and self._struck[i] >= fault.sessions:
            return False
        return kind in FAULTS[fault.name].kinds
