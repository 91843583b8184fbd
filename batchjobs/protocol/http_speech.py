"""The client's side of speech over HTTP: what to ask, what an answer means, when it has ended."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Generic, TypeVar
from urllib.parse import quote

import msgspec
import orjson

from batchjobs.errors import MuteError, SessionError, TransientError, WrongFormatError
from batchjobs.jobs import Doubt, Ending, SpeechSettings
from batchjobs.protocol import error_codes
from batchjobs.protocol.client import Course
from batchjobs.protocol.conversation import Phase
from batchjobs.protocol.http_body import SpeechBody
from batchjobs.protocol.tts_audio import (
    SLOWEST_PACE,
    AudioIntake,
    AudioSink,
    TtsJudge,
    TtsResult,
    judge_result,
)
from batchjobs.providers import Provider
from batchjobs.speech import HIGHEST_HZ, LOWEST_HZ

_Sink = TypeVar("_Sink", bound=AudioSink)

_MOST_WORDS_BYTES: Final = 65_536
"""Of an answer that is no audio, for what it says."""
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_PLAIN: Final = frozenset({"", "identity"})
_CODED: Final = frozenset(
    "aac aacp flac m4a mp3 mp4 mpeg mpeg3 mpegurl ogg opus vorbis webm x-flac x-m4a".split()
)
"""Kinds of audio that are no samples; any other kind may be a name for them."""
_GATEWAY: Final = frozenset({502, 503, 504})
"""Who answers so stands before the service, and does not reach it."""
_NOT_HERE: Final = frozenset({404, 405})
_TEXTS: Final = ("errorMessage", "message", "detail", "error")
_CODES: Final = ("errorCode", "code")


def http_path(provider: Provider, model: str) -> str:
    """Make the path of a request, below the base URL."""
    return provider.tts_http_path.replace("{model}", quote(model, safe=""))


def http_request(text: str, speech: SpeechSettings) -> bytes:
    """Write the body of a request: the text as it stands, and how to speak it."""
    asked: dict[str, object] = {
        "voice_id": speech.voice_id,
        "text": text,
        "stability": speech.stability,
        "speed": speech.speed,
        "streaming": True,
        "sample_rate": speech.sample_rate,
    }
    if speech.dialect:
        asked["dialect"] = speech.dialect
    return orjson.dumps(asked)


class HttpSpeechClient(Generic[_Sink]):
    """Speaks one text through one request, without any I/O.

    The adapter says what it received and what time it is, wakes the machine at `wait_until`, and stops
    when its `course` has ended. The end of the audio is the end of the body, which HTTP marks: by its
    length, or by a last chunk.

    Args:
        now: The time at which the request begins to be sent, in seconds of a monotonic clock.
        text: What is spoken, and billed.
        speech: How.
        provider: Deadlines.
        judge: Says whether the audio is plausible.
        sink: Where the audio goes.

    Attributes:
        course: How far the exchange has come, and its outcome.
        sent_characters: What a service may bill, whatever comes of it: nothing of what it refuses.
        is_taken: Whether the service has taken the text, as far as is known: not if its answer
            comes from who knows nothing of speech, or stands before the service.
    """

    def __init__(
        self,
        now: float,
        *,
        text: str,
        speech: SpeechSettings,
        provider: Provider,
        judge: TtsJudge[_Sink],
        sink: _Sink,
    ) -> None:
        self.course: Course[TtsResult[_Sink]] = Course(Phase.SENDING, now)
        self.sent_characters = len(text)
        self.is_taken = False
        self._speech = speech
        self._provider = provider
        self._judge = judge
        self._progress_at = now
        self._intake = AudioIntake(sink, characters=len(text))
        self._sample_rate = speech.sample_rate
        self._body = SpeechBody(is_packed=False)
        self._ending = Ending.WHOLE_BODY
        self._status = 0
        self._type = ""
        self._retry_after_seconds: float | None = None
        self._words: bytearray | None = None

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def wait_until(self) -> float:
        """When to call `wake` if nothing else happens."""
        provider, course = self._provider, self.course
        if course.phase is Phase.SENDING:
            deadline = self._progress_at + provider.ready_seconds
        elif course.phase is Phase.AWAITING:
            deadline = course.sent_all_at + provider.first_audio_seconds
        else:
            deadline = self._progress_at + provider.http_gap_seconds
        spoken = self._judge.minimum_seconds / SLOWEST_PACE
        return min(deadline, course.opened_at + provider.session_limit_seconds + spoken)

    # -- what the adapter reports ---------------------------------------------------------------

    def note_sent(self, now: float) -> None:
        """Note that the request has gone out."""
        if self.course.phase is Phase.SENDING:
            self.course.note_all_sent(now)
            self.is_taken = True

    def receive_head(self, status: int, headers: Mapping[str, str], now: float) -> None:
        """Take the status and the headers of the answer.

        Args:
            status: The status.
            headers: The headers, found by their names in lower case.
            now: The time.
        """
        self.note_sent(now)  # an answer may come before that is known
        self._status = status
        kind, _, parameters = headers.get("content-type", "").partition(";")
        self._type = kind.strip().casefold()
        self.is_taken = status >= 400 and status not in _GATEWAY
        if 400 <= status < 500:
            self.sent_characters = 0
        if status != 200 or not self._type.startswith("audio/"):
            wait = headers.get("retry-after", "").strip()
            self._retry_after_seconds = float(wait[:6]) if wait.isdecimal() else None
            self._words = bytearray()
            return
        self.is_taken = True
        packing = headers.get("content-encoding", "").strip().casefold()
        if self._type.removeprefix("audio/") in _CODED or packing not in _PACKED | _PLAIN:
            shown = f"the service sends {error_codes.quote(self._type)} {packing}".strip()
            hint = "samples were asked for, as 'pcm_24000'; look at tts_http_path and the model"
            self.course.decide(WrongFormatError(shown, hint=hint))
            return
        self._body = SpeechBody(is_packed=packing in _PACKED)
        self._sample_rate = _find_rate(parameters) or self._sample_rate
        is_chunked = "chunked" in headers.get("transfer-encoding", "").casefold()
        if not is_chunked and "content-length" not in headers:
            self._ending = Ending.CLOSED_BY_SERVER  # the end of such a body shows nothing

    def receive_body(self, data: bytes, now: float) -> None:
        """Take bytes of the body; once the outcome stands, they are of no interest."""
        if self.course.has_ended:
            return
        if self._words is not None:
            self._words += data
            if len(self._words) > _MOST_WORDS_BYTES:
                self._refuse()
            return
        try:
            for pcm in self._body.read(data):
                if not self.course.has_ended:
                    self._take_audio(pcm, now)
        except WrongFormatError as error:
            self.course.decide(error)

    def receive_end(self, now: float) -> None:
        """Take the end of the body, where HTTP marks it, or where the connection ends."""
        if self.course.has_ended:
            return
        if self._words is not None:
            self._refuse()
            return
        rest, doubts = self._body.end()
        if rest:
            self._take_audio(rest, now)
        if not self.course.is_proven:
            self.course.decide(MuteError("the service answered without any audio"))
            return
        self._finish(self._ending, now, *doubts)

    def receive_break(self, error: SessionError) -> None:
        """Take the end of the connection before that of the body; a refusal is one all the same."""
        if self.course.has_ended:
            return
        if self._words is not None:
            self._refuse()
        else:
            self.course.decide(error)

    def wake(self, now: float) -> None:
        """Do what is due if `wait_until` has come; else nothing."""
        course = self.course
        if course.has_ended or now < self.wait_until:
            return
        if self._words is not None:
            self._refuse()
        elif course.phase is Phase.SENDING:
            course.time_out("the service did not take the text", now)
        elif course.phase is Phase.AWAITING:
            course.time_out("no audio came", now, MuteError)
        elif now - self._progress_at < self._provider.http_gap_seconds:
            course.time_out("audio still came at the session's time limit", now)
        else:
            course.time_out("the audio stopped before its end", now)

    # -- inside ---------------------------------------------------------------------------------

    def _take_audio(self, pcm: bytes, now: float) -> None:
        course, intake = self.course, self._intake
        intake.add(pcm, self._body.sample_rate or self._sample_rate)
        course.note_result(now)
        self._progress_at = now
        if excess := intake.find_excess():
            self._finish(Ending.STOPPED, now, excess)
        elif intake.is_late(now - course.first_result_at):
            course.time_out("the audio came slower than a tenth of its own pace", now)

    def _finish(self, ending: Ending, now: float, *seen: Doubt) -> None:
        """End with what came, whatever speaks against it: it was paid for."""
        course, intake = self.course, self._intake
        if course.has_ended:
            return
        doubts = seen + intake.end()
        if not intake.size_bytes:
            course.decide(MuteError("the service answered with half a sample, and no audio"))
            return
        marked = "the body of the answer came to its marked end"
        closed = "the service closed the connection, and nothing marked the end of its answer"
        support = {Ending.WHOLE_BODY: (marked,), Ending.CLOSED_BY_SERVER: (closed,)}
        evidence = course.evidence(ending, None, now, asked_at=course.sent_all_at)
        course.decide(
            judge_result(
                intake,
                self._judge,
                judged_as=ending,
                evidence=replace(evidence, sent_characters=self.sent_characters),
                doubts=doubts,
                support=support.get(ending, ()),
            )
        )

    def _refuse(self) -> None:
        """End with what an answer without audio says."""
        code, message = _read_words(bytes(self._words or b""))
        status = self._status
        if status in _NOT_HERE and not message:
            self.is_taken = False  # whoever says so knows nothing of speech
            message = f"nothing is served at {http_path(self._provider, self._speech.model_id)}"
        if status < 300:
            self.is_taken = bool(code or message)
        if not (self.is_taken or status >= 300):
            kind = error_codes.quote(self._type) or "something without a type"
            shown = f"the service answered HTTP {status} with {kind} in place of audio"
            self.course.decide(TransientError(shown, code=str(status)))
            return
        self.course.decide(
            error_codes.from_answer(
                status, message, code=code, retry_after_seconds=self._retry_after_seconds
            )
        )


def _find_rate(parameters: str) -> int:
    """Find the sample rate in a type's parameters, ``rate=24000``; 0 if there is none."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.casefold() in {"rate", "sample_rate", "samplerate"} and value.isdecimal():
            rate = int(value[:7])
            return rate if LOWEST_HZ <= rate <= HIGHEST_HZ else 0
    return 0


def _read_words(body: bytes) -> tuple[str, str]:
    """Read what an answer says: its own code, and the message; empty where it says neither."""
    try:
        said: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if isinstance(said, Mapping) and isinstance(said.get("error"), Mapping):
        said = said["error"]
    if not isinstance(said, Mapping):
        return "", ""
    codes = (said[name] for name in _CODES if isinstance(said.get(name), int | str))
    texts = (said[name] for name in _TEXTS if isinstance(said.get(name), str) and said[name])
    return str(next(codes, "")), next(texts, "")
