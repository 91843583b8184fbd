"""What a session does with its replies: sends them, or what a fault makes of them. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

import orjson

from batchjobs.protocol import close_codes
from batchjobs.protocol.conversation import AnyMessage
from batchjobs.protocol.listen_messages import ListenError, Receipt, Results
from batchjobs.protocol.messages import (
    Audio,
    Failure,
    Ready,
    Transcription,
    TranscriptionError,
)
from batchjobs.server.error_replies import TOO_MANY_SESSIONS, close_code_of
from batchjobs.server.faults import Fault, FaultName
from batchjobs.speech import BYTES_PER_SAMPLE

_TRUNCATED_SHARE: Final = 0.4
_GARBAGE: Final = '{"audio": "UklGR", oops'
_UNUSUAL_RATE: Final = 44_100


@dataclass(frozen=True, slots=True)
class Say:
    """Send this message."""

    message: AnyMessage


@dataclass(frozen=True, slots=True)
class Raw:
    """Send this text, whatever the protocol says."""

    text: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Reset the connection without a close message."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Send nothing more and keep the connection as long as the client does."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code."""

    code: int
    reason: str = ""


Action: TypeAlias = Say | Raw | Drop | Hang | Close
_Result: TypeAlias = Audio | Transcription | Results | Receipt


class FaultInjector:
    """Turns what a session has to say into what it does, which is the same without a fault.

    Args:
        fault: What strikes this session.
    """

    __slots__ = ("_argument", "_held", "_name", "_rate", "_struck")

    def __init__(self, fault: Fault | None) -> None:
        self._name = None if fault is None else fault.name
        self._argument = "" if fault is None else fault.argument
        self._held: list[bytes] = []
        self._rate = 0
        self._struck = False

    @property
    def fault_name(self) -> str:
        """The fault's name; empty for none."""
        return self._name or ""

    @property
    def is_faithful(self) -> bool:
        """Whether the client gets all it asked for, however late."""
        return self._name in {None, FaultName.SLOW}

    def pace(self, usual: float) -> float:
        """Give the pace of results, times real time; 0 is unpaced."""
        return float(self._argument) if self._name is FaultName.SLOW else usual

    def replace(self, message: AnyMessage) -> Sequence[Action]:
        """Give what to do in place of sending a message."""
        if self._name is None:
            return (Say(message),)
        if self._name is FaultName.MUTE:
            return (Hang(),)
        match message:
            case Audio():
                self._rate = message.sample_rate
                return self._replace_audio(message)
            case Transcription() | Results(is_final=True) | Receipt():
                return self._replace_result(message)
            case Ready() if self._name is FaultName.THROTTLE:
                return self._throttle(message)
            case _:
                return (Say(message),)

    def after_flush(self) -> Sequence[Action]:
        """Give what to do when all text that was flushed has been spoken."""
        if not self._rate or self._struck:
            return ()
        if self._name is FaultName.HALF_SAMPLE:
            self._struck = True
            return (Say(Audio(pcm=b"\0", sample_rate=self._rate)),)
        if self._name is FaultName.TRUNCATE:
            self._struck = True
            pcm = b"".join(self._held)
            kept = _whole_samples(len(pcm) * _TRUNCATED_SHARE)
            return (Say(Audio(pcm=pcm[:kept], sample_rate=self._rate)), Close(close_codes.NORMAL))
        return ()

    def before_end(self) -> Sequence[Action]:
        """Give what to do before the session's good end."""
        return (Hang(),) if self._name in {FaultName.MUTE, FaultName.SILENT} else ()

    def _replace_audio(self, audio: Audio) -> Sequence[Action]:
        actions: Sequence[Action]
        match self._name:
            case FaultName.SLOW | FaultName.HALF_SAMPLE:
                actions = (Say(audio),)
            case FaultName.SILENCE:
                actions = (Say(_with_pcm(audio, bytes(len(audio.pcm)))),)
            case FaultName.TRUNCATE:
                self._held.append(audio.pcm)
                actions = ()
            case FaultName.RATE_CHANGE if self._struck:
                actions = (Say(_at_unusual_rate(audio)),)
            case FaultName.RATE_CHANGE:
                self._struck = True
                first, second = _halve(audio)
                actions = (Say(first), Say(_at_unusual_rate(second)))
            case FaultName.SILENT | FaultName.GARBAGE:
                actions = self._replace_result(audio)
            case _:
                # In mid-audio, however short: half of the first message has been heard.
                first, _ = _halve(audio)
                actions = (Say(first), *self._replace_result(audio))
        return actions

    def _replace_result(self, result: _Result) -> Sequence[Action]:
        """Give what to do in place of a result."""
        actions: Sequence[Action]
        match self._name:
            case FaultName.DROP:
                actions = (Drop(),)
            case FaultName.HANG | FaultName.SILENT:
                actions = (Hang(),)
            case FaultName.GARBAGE:
                actions = (Raw(_GARBAGE),)
            case FaultName.CLOSE:
                actions = (Close(int(self._argument)),)
            case FaultName.TRUNCATE:
                actions = (Close(close_codes.NORMAL),)
            case FaultName.THROTTLE:
                actions = self._throttle(result)
            case FaultName.ERROR | FaultName.ERROR_STRING:
                actions = (self._error_reply(result), Close(close_code_of(self._argument)))
            case _:
                actions = (Say(result),)
        return actions

    def _error_reply(self, result: _Result) -> Action:
        code = self._argument
        match result:
            case Transcription():
                return Say(TranscriptionError(f"a fault was asked for: {code}"))
            case Results() | Receipt():
                return Say(ListenError(code=code, message="a fault was asked for"))
            case Audio() if self._name is FaultName.ERROR_STRING:
                form = {"type": "error", "errorCode": code, "errorMessage": "a fault was asked for"}
                return Raw(orjson.dumps(form).decode())
            case Audio():
                return Say(Failure(code=code, message="a fault was asked for"))
            case _:
                assert_never(result)

    def _throttle(self, result: _Result | Ready) -> Sequence[Action]:
        if isinstance(result, Results | Receipt):
            code, reason = close_codes.POLICY_VIOLATION, "concurrent session limit reached"
            return (Say(ListenError(code=str(code), message=reason)), Close(code, reason))
        failure = Failure(code=TOO_MANY_SESSIONS, message="too many sessions at once")
        return (Say(failure), Close(close_code_of(TOO_MANY_SESSIONS)))


def _halve(audio: Audio) -> tuple[Audio, Audio]:
    middle = _whole_samples(len(audio.pcm) / 2)
    return _with_pcm(audio, audio.pcm[:middle]), _with_pcm(audio, audio.pcm[middle:])


def _with_pcm(audio: Audio, pcm: bytes) -> Audio:
    return Audio(pcm=pcm, sample_rate=audio.sample_rate)


def _at_unusual_rate(audio: Audio) -> Audio:
    return Audio(pcm=audio.pcm, sample_rate=_UNUSUAL_RATE)


def _whole_samples(size: float) -> int:
    return int(size) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
