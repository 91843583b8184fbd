"""The table: services by their manners, what is asked of each, and what must come of it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.manners import sound
from tests.manners.desk import Recording
from tests.manners.manners import Closing, Fault, Hearing, Manners, Marks

__all__ = ["MUTE", "NUMEROUS", "ROWS", "Row"]

_TEXTS: Final = (
    "Every row of this file is one job, and no job is done twice.",
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ، أَهْلًا وَسَهْلًا بِكُمْ.",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا عن المدينة القديمة.",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل ولا تعجل.",
    "نستخدم مكتبة trio مع WebSocket لإنجاز العمل بسرعة كبيرة!",
    'He said: "Run it again", and 24 of the 31 results were there.',
    "قال: «لن أعود إلى هناك أبدًا…» ثم مضى، ولم يلتفت\u200f.",
    "صباح الخير، كيف حالك اليوم يا صديقي العزيز؟",
)
"""Words of two scripts: diacritics, digits of both kinds, tatweel, both directions in one."""
_SAID: Final = (
    "we begin at nine tomorrow",
    "السلام عليكم ورحمة الله",
    "نبدأ الساعة ٩ صباحًا غدًا",
    "the train to Riyadh is late",
    "هذا هو التسجيل الخامس هنا",
    "مكتبة trio سهلة وسريعة",
    "thank you all and goodbye",
    "شكرًا جزيلًا وإلى اللقاء",
)


_OLDER: Final = {"stt_protocol": "transcription"}
"""The newer one has its own services, in `listening`."""


def _plain_texts(count: int) -> list[str]:
    """Make texts of a kind, without digits: a voice's pace is learnt from each of them."""
    who = (
        "الطبيب",
        "المهندس",
        "المعلمة",
        "التاجر",
        "الشاعر",
        "The doctor",
        "The captain",
        "A friend",
    )
    does = ("قرأ الكتاب", "كتب الرسالة", "told the story", "opened the window", "زار المدينة")
    when = ("في الصباح الباكر", "قبل الغروب", "after the long journey", "in the quiet garden")
    how = ("ثم عاد إلى بيته", "وكان سعيدًا", "and went home", "with all of the children", "بهدوء")
    products = itertools.islice(itertools.product(how, when, does, who), count)
    return [f"{subject} {verb} {time} {manner}." for manner, time, verb, subject in products]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A service, what is asked of it, and what must come of that.

    Attributes:
        manners: The service's.
        provider: As which of the hosted providers it is run.
        texts: What to speak, by the job's id.
        recordings: What to transcribe.
        is_command: Whether the run is a command in a process of its own, or a call.
        concurrency: Sessions at once; None leaves it to the run.
        settings: The provider's in the configuration file; none leaves them as built in.
        exit_code: The run's.
        named: Jobs that must not be done: their status and, of failed ones, the class of error.
        attempts: The least and the most sessions that each of these has.
        spare_sessions: All others have one, after those that went wrong; of all of them together
            so many may have one more.
    """

    manners: Manners = field(default_factory=Manners)
    provider: str = "munsit"
    texts: Mapping[str, str] = field(default_factory=dict)
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    is_command: bool = False
    concurrency: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = 0
    named: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[int, int] = (1, 1)
    spare_sessions: int = 0


def _numbered(texts: Sequence[str]) -> dict[str, str]:
    return {f"t{number:03}": text for number, text in enumerate(texts)}


TEXTS: Final = _numbered(_TEXTS)
RECORDINGS: Final = {
    f"r{number}": Recording(
        name=f"r{number}", pcm=sound.recording(f"r{number}"), words=tuple(said.split())
    )
    for number, said in enumerate(_SAID)
}
ROOM: Final = {f"n{n}": Recording(name=f"n{n}", pcm=sound.noise(f"n{n}")) for n in range(2)}


def speaks(*, expect: Mapping[str, Any] | None = None, **manners: Any) -> Row:
    """Give a service that is asked to speak."""
    given: dict[str, Any] = {"texts": TEXTS, **(expect or {})}
    return Row(manners=Manners(**manners), **given)


def hears(*, expect: Mapping[str, Any] | None = None, **manners: Any) -> Row:
    """Give a service that is asked to transcribe on the documents' socket."""
    given: dict[str, Any] = {"recordings": RECORDINGS, "settings": _OLDER, **(expect or {})}
    return Row(manners=Manners(**manners), **given)


def _error(code: int | str, text: str, *, field: str = "errorMessage") -> dict[str, object]:
    return {"type": "error", "errorCode": code, field: text}


_ONE_BOUGHT_AGAIN: Final = {"spare_sessions": 1}
"""A close alone after a loud end shows little, until the voice is known to end so."""
_CUT_LATER: Final = Fault(share=0.5, close_code=1000, after_clips=26)
_MANY: Final = {"concurrency": 2, "texts": _numbered(_plain_texts(32))}
"""A voice's pace is known after 20 clips; two at a time, so that all of these are known in time."""
_SPOILT: Final = "t003"
_SPOILT_WORD: Final = "جميـــلة"

SPEAKING: Final = {
    # How a session ends, softly and in mid-sound.
    "drains, ends softly": speaks(closing=Closing.DRAINS, is_loud=False),
    "drains, ends loud": speaks(closing=Closing.DRAINS),
    "drops what is pending, ends softly": speaks(is_loud=False),
    "drops what is pending, ends loud": speaks(expect={"is_command": True}),
    "closes by itself, ends softly": speaks(
        closing=Closing.ITSELF, is_loud=False, expect={"is_command": True, "provider": "faseeh"}
    ),
    "closes by itself, ends loud": speaks(closing=Closing.ITSELF, expect=_ONE_BOUGHT_AGAIN),
    "never closes, ends softly": speaks(closing=Closing.NEVER, is_loud=False),
    "never closes, ends loud": speaks(closing=Closing.NEVER, expect={"provider": "faseeh"}),
    "does not even answer a close": speaks(
        closing=Closing.DEAF, is_loud=False, expect={"concurrency": 8}
    ),
    # What its messages look like.
    "isFinal on each message": speaks(final=Marks.EACH, pause_seconds=1.5),
    "isFinal on a last and empty message": speaks(final=Marks.LAST, expect={"provider": "faseeh"}),
    "isFinal on a last and empty message, closes by itself": speaks(
        final=Marks.LAST, closing=Closing.ITSELF, is_loud=False
    ),
    "isFinal in the middle": speaks(final=Marks.MIDDLE, pause_seconds=1.5),
    "isFinal on an empty message in the middle": speaks(final=Marks.MIDDLE_EMPTY),
    "isFinal on an empty message before a pause": speaks(
        final=Marks.MIDDLE_EMPTY, pause_seconds=1.5
    ),
    "isFinal on an empty message before a pause, ends softly": speaks(
        final=Marks.MIDDLE_EMPTY, pause_seconds=1.5, is_loud=False
    ),
    "odd numbers of bytes": speaks(message_bytes=4_801, expect={"provider": "faseeh"}),
    "odd numbers of bytes, closes by itself": speaks(
        message_bytes=4_801, closing=Closing.ITSELF, is_loud=False
    ),
    "no sampleRate": speaks(says_rate=False, message_bytes=7_777),
    "an empty message in the middle": speaks(sends_empty=True, is_loud=False),
    "unknown messages in between": speaks(sends_unknown=True, sends_empty=True),
    # When they come.
    "a pause in the middle": speaks(pause_seconds=1.5, is_loud=False),
    "a pause in the middle, ends loud, drains": speaks(
        pause_seconds=1.5, closing=Closing.DRAINS, expect={"provider": "faseeh"}
    ),
    "a pause in the middle, closes by itself": speaks(
        pause_seconds=1.5, closing=Closing.ITSELF, is_loud=False
    ),
    "first audio late": speaks(first_audio_seconds=5.0),
    "ready late": speaks(ready_seconds=5.0, is_loud=False),
    "all that is odd at once": speaks(
        final=Marks.EACH,
        message_bytes=4_801,
        pause_seconds=1.5,
        says_rate=False,
        sends_empty=True,
        sends_unknown=True,
        ready_seconds=1.0,
        first_audio_seconds=1.0,
        closing=Closing.NEVER,
    ),
    # What goes wrong.
    "an error with a code as text": speaks(
        fault=Fault(error=_error("50001", "upstream trouble")),
        expect={"concurrency": 8},
    ),
    "an error without a type, its text under message": speaks(
        fault=Fault(error={"errorCode": 50202, "message": "أعد المحاولة"}, share=0.4),
        expect={"concurrency": 8},
    ),
    "an error that lasts": speaks(
        fault=Fault(error=_error("50001", "upstream", field="message"), of=_SPOILT_WORD, times=99),
        expect={
            "exit_code": 1,
            "named": {_SPOILT: "failed transient"},
            "attempts": (5, 5),
        },
    ),
    "a text that is refused": speaks(
        fault=Fault(
            error={"errorCode": "40001", "message": "text not supported"},
            of=_SPOILT_WORD,
            times=99,
            close_code=1000,
        ),
        expect={"exit_code": 1, "named": {_SPOILT: "failed permanent"}},
    ),
    "too many sessions": speaks(room=3, full=_error("42901", "too many sessions", field="message")),
    "closes with 1011 in mid-audio": speaks(
        fault=Fault(share=0.5, close_code=1011, of=_SPOILT_WORD),
    ),
    "the line breaks in mid-audio": speaks(
        fault=Fault(share=0.9, close_code=0, of=_SPOILT_WORD),
    ),
    "closes with 1000 after a third": speaks(
        fault=Fault(share=0.33, close_code=1000, of=_SPOILT_WORD),
    ),
    "closes with 1000 after a third, every time": speaks(
        fault=Fault(share=0.33, close_code=1000, of=_SPOILT_WORD, times=99),
        expect={
            "exit_code": 1,
            "named": {_SPOILT: "suspect"},
            "attempts": (2, 5),
        },
    ),
    "closes with 1000 after half, once the pace is known": speaks(
        closing=Closing.ITSELF, is_loud=False, fault=_CUT_LATER, expect=_MANY
    ),
    "closes with 1000 after half, once the pace is known, ends loud": speaks(
        closing=Closing.ITSELF, fault=_CUT_LATER, expect=_MANY | _ONE_BOUGHT_AGAIN
    ),
}

HEARING: Final = {
    "a transcript for each chunk": hears(prefix=" "),
    "transcripts as objects, type for event": hears(is_object=True, event="type", prefix=" "),
    "rough, then refined": hears(hearing=Hearing.ROUGH_THEN_REFINED),
    "rough, then refined, closes by itself": hears(
        hearing=Hearing.ROUGH_THEN_REFINED, closing=Closing.ITSELF, is_object=True
    ),
    "one transcript at the end": hears(hearing=Hearing.AT_END, prefix=" "),
    "one transcript at the end, closes by itself": hears(
        hearing=Hearing.AT_END, closing=Closing.ITSELF
    ),
    "the first transcript late": hears(hearing=Hearing.STARTS_LATE),
    "the last transcript late": hears(hearing=Hearing.ENDS_LATE, is_object=True),
    "the last word revised late": hears(
        hearing=Hearing.REVISES_LATE,
        prefix=" ",
        # A second more than a revision takes is not enough where a machine is busy.
        expect={"settings": _OLDER | {"settle_seconds": 8.0}},
    ),
    "transcripts among unknown messages": hears(sends_unknown=True),
    "an error in free text, once": hears(
        fault=Fault(error={"event": "transcription_error", "data": "model overloaded"}, of="r3"),
    ),
    "an error in free text, every time": hears(
        fault=Fault(
            error={"type": "transcription_error", "message": "تعذّر التعرّف"}, of="r3", times=99
        ),
        expect={
            "exit_code": 1,
            "named": {"r3": "failed transient"},
            "attempts": (2, 2),
        },
    ),
    "closes with 1000 after the first chunk": hears(fault=Fault(close_code=1000, of="r3")),
    "an error with a code, once": hears(
        fault=Fault(error={"event": "error", "errorCode": "50001", "message": "busy"}, of="r3"),
    ),
    "nothing said": hears(expect={"recordings": RECORDINGS | ROOM}),
    "nothing heard, once": hears(fault=Fault(hears_nothing=True, of="r3")),
    "nothing heard, every time": hears(
        fault=Fault(hears_nothing=True, of="r3", times=99),
        prefix=" ",
        expect={"exit_code": 1, "named": {"r3": "suspect"}, "attempts": (2, 5)},
    ),
}

BOTH: Final = {
    "speaks and hears": Row(
        manners=Manners(prefix=" ", hearing=Hearing.ROUGH_THEN_REFINED),
        texts=dict(itertools.islice(TEXTS.items(), 4)),
        recordings=dict(itertools.islice(RECORDINGS.items(), 4)),
        settings=_OLDER,
        is_command=True,
    )
}

MUTE: Final = "never says anything"
NUMEROUS: Final = "two hundred clips that end loud"
ALONE: Final = {
    MUTE: speaks(
        is_mute=True,
        expect={"is_command": True, "settings": {"first_audio_seconds": 3.0}, "exit_code": 69},
    ),
    NUMEROUS: speaks(
        expect={"is_command": True, "concurrency": 64, "texts": _numbered(_plain_texts(200))}
    ),
}

ROWS: Final = ALONE | SPEAKING | HEARING | BOTH
