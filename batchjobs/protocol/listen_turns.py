"""What was heard on ``/listen``: finals appended, turns told apart, words and traits placed in time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from batchjobs.jobs import SpeakerTrait
from batchjobs.protocol.listen_messages import (
    HeardWord,
    Results,
    SpeechStarted,
    Trait,
    UtteranceEnd,
)
from batchjobs.text import are_written_together, split_words

_TOLERANCE_SECONDS: Final = 1.0
"""By how much a final's first word may begin before the last one of the final before has ended."""

Spans = Sequence[tuple[float, float]]


@dataclass(slots=True)
class _Turn:
    """What one speaker says before a silence.

    Attributes:
        words: With their times, as they came.
        traits: What was noticed of the speaker.
        is_over: Whether the service has said so.
    """

    words: list[HeardWord] = field(default_factory=list)
    traits: list[Trait] = field(default_factory=list)
    is_over: bool = False


class HeardTurns:
    """Collects what was heard in a session.

    Attributes:
        interim: What was heard last and is not final.
    """

    def __init__(self) -> None:
        self.interim = ""
        self._finals: list[str] = []
        self._turns: list[_Turn] = []
        self._are_timed = True

    @property
    def text(self) -> str:
        """All finals, one after the other; those without white space about them get a space."""
        joined = ""
        for final in self._finals:
            has_space = (
                joined[-1:].isspace() or final[0].isspace() or are_written_together(joined, final)
            )
            joined += final if not joined or has_space else f" {final}"
        return joined

    @property
    def go_back(self) -> bool:
        """Whether words of a later turn have earlier times: they count from something else then."""
        return self._are_timed and not _are_in_order(self._turns)

    def take(self, results: Results) -> None:
        """Take what was heard: what is final stands, all else is replaced by the next."""
        if not results.is_final:
            self.interim = results.transcript
            return
        self.interim = ""
        if not results.transcript.strip():
            return
        self._finals.append(results.transcript)
        texts = split_words(results.transcript)
        # Where the service cuts words otherwise their times are no help.
        self._are_timed &= [word.word.strip() for word in results.words] == texts
        turn = self._begin_turn()
        turn.words += results.words
        turn.is_over = results.speech_final

    def note(self, message: SpeechStarted | UtteranceEnd | Trait) -> None:
        """Note where turns begin and end, and what was noticed of a speaker.

        That is of the turn that goes on, or else of the last one.
        """
        last = self._turns[-1] if self._turns else None
        match message:
            case SpeechStarted() if last is not None and last.is_over:
                self._turns.append(_Turn())
            case UtteranceEnd() if last is not None:
                last.is_over = True
            case Trait():
                (last or self._begin_turn()).traits.append(message)
            case _:
                return

    def place(
        self, times: str, silences: Spans, seconds: float, endpointing_seconds: float
    ) -> tuple[list[HeardWord], tuple[SpeakerTrait, ...]]:
        """Say when words were said, as far as the service's times can be believed.

        Args:
            times: From where they count: ``session`` or ``turn``.
            silences: Where the audio has no sound that can be speech: (begin, end).
            seconds: How long it is.
            endpointing_seconds: How much silence ends a turn.

        Returns:
            All words, or none if one of them cannot be placed; and what was noticed of speakers.
        """
        turns: Sequence[_Turn] | None = self._turns
        if times == "turn":
            spans = _find_speech(silences, seconds, endpointing_seconds)
            turns = _move_turns(self._turns, spans)
        if turns is None or not self._are_timed or not _are_in_order(turns):
            turns = [_Turn(traits=turn.traits) for turn in self._turns]
        traits = tuple(
            SpeakerTrait(
                kind=trait.kind,
                label=trait.label,
                score=trait.score,
                start=round(turn.words[0].start, 3) if turn.words else None,
                end=round(turn.words[-1].end, 3) if turn.words else None,
            )
            for turn in turns
            for trait in turn.traits
        )
        return [word for turn in turns for word in turn.words], traits

    def _begin_turn(self) -> _Turn:
        if not self._turns or self._turns[-1].is_over:
            self._turns.append(_Turn())
        return self._turns[-1]


def _are_in_order(turns: Sequence[_Turn]) -> bool:
    """Say whether words come one after the other, none of them before the beginning."""
    after, ended = 0.0, 0.0
    for turn in turns:
        for word in turn.words:
            if not max(after, ended - _TOLERANCE_SECONDS) <= word.start <= word.end:
                return False
            after, ended = word.start, word.end
    return True


def _find_speech(silences: Spans, seconds: float, endpointing_seconds: float) -> Spans:
    """Find where turns are: what lies between silences that are long enough to end one."""
    spans, start = [], 0.0
    for begin, end in silences:
        if end - begin < endpointing_seconds:
            continue
        if begin > start:
            spans.append((start, begin))
        start = end
    if start < seconds:
        spans.append((start, seconds))
    return spans


def _move_turns(turns: Sequence[_Turn], spans: Spans) -> list[_Turn] | None:
    """Put turns whose words count from their own starts where there is sound; None if they do not fit."""
    said = [turn for turn in turns if turn.words]
    is_each_found = len(said) == len(spans) and all(
        turn.words[-1].end <= end - start + _TOLERANCE_SECONDS
        for turn, (start, end) in zip(said, spans, strict=True)
    )
    if not is_each_found:
        return None
    starts = iter(span[0] for span in spans)
    return [
        _Turn([_move(word, start) for word in turn.words], turn.traits)
        for turn in turns
        for start in [next(starts) if turn.words else 0.0]
    ]


def _move(word: HeardWord, seconds: float) -> HeardWord:
    return structs.replace(word, start=word.start + seconds, end=word.end + seconds)
