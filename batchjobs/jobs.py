"""The records that travel through a run: jobs, segments, evidence, outcomes; and their keys."""

import dataclasses
import enum
import functools
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import orjson

from batchjobs.formatting import GIVEN_ROWS
from batchjobs.speech import (
    DEFAULT_OUTPUT_FORMAT,
    DEFAULT_SIMILARITY_BOOST,
    DEFAULT_SPEED,
    DEFAULT_STABILITY,
    Channels,
)

Cell: TypeAlias = str | int | float | bool | None
"""What a row may have in a column and be one of many that are looked at together."""
_KEY_VERSION = "batchjobs-key-1"
_DERIVED_ID_HEX_DIGITS = 16
BAD_ROW = "bad_row"
"""The class of the failure of a row that cannot be run."""
TOO_COSTLY = "too_costly"
"""The class of the failure of a job that would cost more than one may."""
CONTENT_COLUMN = "recording_sha256"
"""The column in which a watch says which content a row is of; other values of it are the user's."""


class Kind(enum.StrEnum):
    """What a job asks for."""

    TTS = "tts"
    STT = "stt"


class Status(enum.StrEnum):
    """Where a job stands once it has been tried."""

    DONE = "done"
    SUSPECT = "suspect"
    """A result was paid for and is kept, and something speaks against it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSettings:
    """How a text is to be spoken, in the terms of the service's API.

    Attributes:
        voice_id: The service's name of the voice.
        model_id: The service's name of the model.
        stability: 0 to 1.
        similarity_boost: 0 to 1.
        speed: 0.7 to 1.2; 1.0 is the voice's own pace.
        output_format: ``pcm_`` and the sample rate in hertz.
        dialect: What the voice is asked to speak, over HTTP only; empty leaves it to the service.
    """

    voice_id: str
    model_id: str
    stability: float = DEFAULT_STABILITY
    similarity_boost: float = DEFAULT_SIMILARITY_BOOST
    speed: float = DEFAULT_SPEED
    output_format: str = DEFAULT_OUTPUT_FORMAT
    dialect: str = ""

    @property
    def sample_rate(self) -> int:
        """The asked sample rate in hertz."""
        return int(self.output_format.removeprefix("pcm_"))


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """What of a recording is to be heard, as far as its row says.

    Attributes:
        channels: Which of its channels.
        names: Who is on each channel, where they are heard apart; empty for the usual names.
        track: Which of a film's audio tracks, from 1; 0 for its default one.
    """

    channels: Channels = Channels.MIX
    names: tuple[str, ...] = ()
    track: int = 0


AS_IT_IS = Hearing()
"""Without a wish: the channels as one, of the default track."""


class SideState(enum.StrEnum):
    """What became of a channel that was to be heard apart."""

    HEARD = "heard"
    SILENT = "silent"
    """There is no speech in it, and nothing of it was sent."""
    SAME = "same"
    """It is what another one is, with which it was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A channel of a recording whose channels were heard apart.

    Attributes:
        name: Who is on it.
        channel: Its number, from 1.
        state: What became of it.
        same_as: The number of the channel that it is the same as; 0 of none.
    """

    name: str
    channel: int
    state: SideState = SideState.HEARD
    same_as: int = 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One valid row of a manifest; a struct, because a million are made (0.2 us each, not 1.6).

    Attributes:
        id: Unique in its manifest; names the result's file.
        id_is_derived: Whether the id came from the row's content because the row gave none.
        line: The manifest's line on which the row starts, counted from 1.
        kind: Text to speech or speech to text.
        provider: Name of the provider that will do it.
        text: What to speak, exactly as it came; empty for a transcription.
        speech: How to speak it; None for a transcription.
        audio: Absolute path of the recording to transcribe; empty for a synthesis.
        hotwords: Words to expect in it.
        hearing: What of the recording is heard.
        output: The row's own path of the result below the run folder; empty for the default.
        take: Makes two equal rows two purchases.
        reference: The true text of a recording, if known.
        row: The whole row as it came, unknown columns included.
    """

    id: str
    id_is_derived: bool = False
    line: int
    kind: Kind
    provider: str
    text: str = ""
    speech: SpeechSettings | None = None
    audio: str = ""
    hotwords: tuple[str, ...] = ()
    hearing: Hearing = AS_IT_IS
    output: str = ""
    take: int = 0
    reference: str = ""
    row: Mapping[str, object] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something that is wrong with a row.

    Attributes:
        column: The column that is wrong; empty if the row as a whole is.
        message: What is wrong.
        hint: What to do about it; may be empty.
    """

    column: str
    message: str
    hint: str = ""

    def describe(self, where: str) -> str:
        """Say where and what, as ``talks.csv:17: column 'speed': …; what to do``."""
        column = f"column '{self.column}': " if self.column else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}: {column}{self.message}{hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """One row of a manifest that cannot be run.

    Attributes:
        line: The manifest's line on which the row starts, counted from 1.
        column: The column that is wrong; empty if the row as a whole is.
        message: What is wrong.
        hint: What to do about it; may be empty.
        id: The row's id, or one derived from its content.
        row: The row as far as it could be read.
        job: What it would be if its recording were there; None if anything else is wrong.
        further: What else is wrong with it.
    """

    line: int
    column: str
    message: str
    hint: str = ""
    id: str = ""
    row: Mapping[str, object] = field(default_factory=dict)
    job: Job | None = None
    further: tuple[Mistake, ...] = ()

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """All that is wrong."""
        first = Mistake(column=self.column, message=self.message, hint=self.hint)
        return (first, *self.further)

    def describe(self, source: str, *, to_line: int = 0) -> str:
        """Say where and what is wrong, a line a mistake.

        Args:
            source: The manifest, for messages.
            to_line: The line of the last row in which the same is wrong as in this one, and in all between.
        """
        rows, lines = "row", str(self.line)
        if to_line > self.line:
            rows, lines = "rows", f"{self.line} to {to_line}"
        where = f"{rows} {lines}" if source == GIVEN_ROWS else f"{source}:{lines}"
        return "\n".join(each.describe(where) for each in self.mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What one session is asked to do: a text to speak or a recording to transcribe.

    Attributes:
        key: SHA-256 of all that determines the result, in hexadecimal.
        kind: Text to speech or speech to text.
        text: What to speak.
        speech: How to speak it.
        audio: Absolute path of the recording.
        audio_seconds: Length of the recording.
        hotwords: Words to expect in it.
        hearing: What of it is heard.
    """

    key: str
    kind: Kind
    text: str = ""
    speech: SpeechSettings | None = None
    audio: str = ""
    audio_seconds: float = 0.0
    hotwords: tuple[str, ...] = ()
    hearing: Hearing = AS_IT_IS


class Ending(enum.StrEnum):
    """What showed that a session was complete, the one that says most first."""

    RECEIPT = "receipt"
    """The server said itself that all was heard, and how much it billed."""
    WHOLE_BODY = "whole_body"
    """The body of an HTTP answer came to its marked end: what was sent is here."""
    DRAINED = "drained"
    """We asked to close and the server closed, after sending what was pending."""
    ANSWERED = "answered"
    """Every chunk of audio had its transcription."""
    CLOSED_BY_SERVER = "closed_by_server"
    """The server closed normally by itself."""
    QUIET = "quiet"
    """Nothing more came for the quiet time, and we asked to close."""
    SETTLED = "settled"
    """The transcript did not change for the settling time."""
    UNSETTLED = "unsettled"
    """The time for it was up: the transcript still changed, or answers to the audio were missing."""
    STOPPED = "stopped"
    """We ended it in the middle: what came next could not belong to the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of a session that counts as complete.

    Attributes:
        ending: What showed the end.
        close_code: The server's close code; None if it never closed.
        messages: Useful messages received (audio, or transcripts).
        first_result_seconds: From the last message needed for it to the first useful one.
        longest_gap_seconds: The longest wait between two useful messages.
        session_seconds: From the open connection to the decision.
        sent_characters: Characters of text sent.
        sent_audio_seconds: Seconds of audio sent.
        received_audio_seconds: Seconds of audio received.
        billed_audio_seconds: Seconds of audio billed, if the service says so; else 0.
        dropped_hotwords: Those of the words to expect that the service did not take.
    """

    ending: Ending
    close_code: int | None = None
    messages: int
    first_result_seconds: float
    longest_gap_seconds: float
    session_seconds: float
    sent_characters: int = 0
    sent_audio_seconds: float = 0.0
    received_audio_seconds: float = 0.0
    billed_audio_seconds: float = 0.0
    dropped_hotwords: tuple[str, ...] = ()


class SpeakerTrait(msgspec.Struct, frozen=True, kw_only=True):
    """What a service noticed of whoever speaks in a turn.

    Attributes:
        kind: ``gender`` or ``sentiment``.
        label: What it is, in the service's words.
        score: How sure that is, from 0 to 1.
        start: When the turn begins, in seconds; None where that is not known.
        end: When it ends; likewise.
        speaker: Whose turn it is, where the sides of a call are heard apart.
    """

    kind: str
    label: str
    score: float
    start: float | None = None
    end: float | None = None
    speaker: str | msgspec.UnsetType = msgspec.UNSET


class Sign(enum.StrEnum):
    """What can speak against a result; ``accept --reason`` takes these names."""

    SILENT = "silent"
    """No sample is other than zero."""
    ABRUPT = "abrupt"
    """The audio ends in mid-sound."""
    SHORT = "short"
    """Less audio than this voice takes for such a text."""
    LONG = "long"
    """More audio than this voice takes for such a text."""
    BROKEN = "broken"
    """The samples themselves: half a sample at the end, or a rate that changed."""
    UNHEARD = "unheard"
    """Sound that can be speech, and no words."""
    FEW_WORDS = "few_words"
    """Far fewer words than so much sound has had in this run."""
    UNSETTLED = "unsettled"
    """The transcript still changed, or answers were missing, when it was taken."""
    REJECTED = "rejected"
    """Somebody who listened, or read, found it bad: the next run buys it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One thing that speaks against a result.

    Attributes:
        sign: What kind of thing.
        message: What it is, as a clause without a full stop.
        severity: How much of the result it puts in doubt: 0 is nothing, 1 all of it.
        start_seconds: Where in the job's audio the doubtful part begins.
        end_seconds: Where it ends; 0 if the doubt is about all of it.
        key: The key of the doubtful segment of a long job; empty if the job is one segment.
    """

    sign: Sign
    message: str
    severity: float = 1.0
    start_seconds: float = 0.0
    end_seconds: float = 0.0
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What speaks for and against a result whose session has ended.

    Attributes:
        doubts: What speaks against it; none if it counts as done.
        support: What speaks for it, a clause each.
        silences: Where the audio has no sound that can be speech, in seconds: (begin, end).
    """

    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()


def sum_severity(doubts: Sequence[Doubt]) -> float:
    """Sum up doubts: of two results of one job, the one with less is the better."""
    return sum(doubt.severity for doubt in doubts)


def sum_evidence(evidence: Sequence[Evidence]) -> Evidence | None:
    """Sum up what was seen of a long job's sessions: as certain as the least certain of them.

    Returns:
        Sums of counts, characters and seconds, the longest of the waits; None of nothing.
    """
    if not evidence:
        return None
    weakest = max(evidence, key=lambda one: list(Ending).index(one.ending))
    return Evidence(
        ending=weakest.ending,
        close_code=weakest.close_code,
        messages=sum(one.messages for one in evidence),
        first_result_seconds=max(one.first_result_seconds for one in evidence),
        longest_gap_seconds=max(one.longest_gap_seconds for one in evidence),
        session_seconds=sum(one.session_seconds for one in evidence),
        sent_characters=sum(one.sent_characters for one in evidence),
        sent_audio_seconds=sum(one.sent_audio_seconds for one in evidence),
        received_audio_seconds=sum(one.received_audio_seconds for one in evidence),
        billed_audio_seconds=sum(one.billed_audio_seconds for one in evidence),
        dropped_hotwords=tuple(
            dict.fromkeys(word for one in evidence for word in one.dropped_hotwords)
        ),
    )


def make_segment_key(  # noqa: PLR0913  # each determines the result
    *,
    kind: Kind,
    service: str,
    model: str,
    speech: SpeechSettings | None = None,
    text: str = "",
    audio_sha256: str = "",
    hotwords: Collection[str] = (),
    hearing: Hearing = AS_IT_IS,
    take: int = 0,
) -> str:
    """Hash all that determines a segment's result.

    Args:
        kind: Text to speech or speech to text.
        service: Name of the provider (with its engine, for the local one): where it is bought.
        model: The service's model.
        speech: How to speak.
        text: What to speak, byte for byte: no normalisation, a diacritic more is another text.
        audio_sha256: Hash of the recording's file.
        hotwords: Words to expect in it; their order makes no difference.
        hearing: What of it is heard; the names of its sides change nothing that is bought.
        take: Tells equal purchases apart.

    Returns:
        64 hexadecimal digits.
    """
    content: list[object] = [text, audio_sha256, take]
    if hotwords:  # else the key of before there were any
        content.append({"hotwords": sorted(set(hotwords))})
    if hearing is not AS_IT_IS and (hearing.channels, hearing.track) != (
        AS_IT_IS.channels,
        AS_IT_IS.track,
    ):
        content += [hearing.channels, hearing.track]
    begun = _begin_content(kind, service, model, speech)
    return hashlib.sha256(begun + orjson.dumps(content)[1:]).hexdigest()


def frame_of_speech_key(
    service: str, model: str, speech: SpeechSettings, take: int
) -> tuple[bytes, bytes]:
    """Give what stands before and behind a text in what `make_segment_key` hashes for its synthesis.

    Args:
        service: As there, like the others.
        model: The service's model.
        speech: How to speak.
        take: Tells equal purchases apart.

    Returns:
        The bytes before, and those behind the text as orjson writes it.
    """
    begun = _begin_content(Kind.TTS, service, model, speech)
    return begun, orjson.dumps(["", "", take])[len('[""') :]


@functools.lru_cache(maxsize=1_000)
def _begin_content(kind: Kind, service: str, model: str, speech: SpeechSettings | None) -> bytes:
    """Write the beginning of what is hashed, which few combinations of a manifest's have in common."""
    begun = [_KEY_VERSION, kind, service, model, None if speech is None else _list_hashed(speech)]
    return orjson.dumps(begun)[:-1] + b","


def _list_hashed(speech: SpeechSettings) -> list[object]:
    """List the settings with every number as a float: 1 and 1.0 are one speed, bought once."""
    # Zero has two signs, which are equal and written differently.
    values: list[object] = [
        v if isinstance(v, str) else v + 0.0 for v in dataclasses.astuple(speech)
    ]
    if not speech.dialect:  # the key of before there were any
        values.pop()
    return values


def derive_id(row: Mapping[str, object]) -> str:
    """Make an id out of a row's content: the same row has the same id wherever it stands."""
    try:
        content = orjson.dumps(dict(row), option=orjson.OPT_SORT_KEYS)
    except (
        orjson.JSONEncodeError
    ):  # beyond 64 bits, beyond 254 levels, lone surrogates, None as key
        content = repr(sorted(row.items(), key=repr)).encode(errors="backslashreplace")
    return hashlib.sha256(content).hexdigest()[:_DERIVED_ID_HEX_DIGITS]
