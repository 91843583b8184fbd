"""The table of endings of `/listen`: how sessions go, and what a run must make of that."""

from dataclasses import dataclass
from typing import Final

from tests.manners.listening import Manner

__all__ = ["ENDINGS", "PRICE_PER_SECOND", "SECONDS", "Ending"]

SECONDS: Final = 5.0
"""Of the recording."""
PRICE_PER_SECOND: Final = 1.0
_ANY: Final = (0.2, SECONDS)
_NOTHING: Final = (0.0, 0.0)
_TRANSCRIPT: Final = frozenset(
    f"transcripts/r.{ending}" for ending in ("json", "srt", "txt", "vtt")
)
_SUSPECT: Final = frozenset(f"suspect/r.{ending}" for ending in ("json", "srt", "txt", "vtt"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How sessions go, and what must come of a run of one recording with three attempts.

    Attributes:
        manner: The service's.
        status: The row's.
        exit_code: The run's.
        sessions: How many there are, at least and at most.
        says: What the result, or what stopped the run, says.
        cost: Of all sessions together, at least and at most.
        billed: Seconds that receipts have.
        files: What of the result stands in the run folder.
    """

    manner: Manner
    status: str = "done"
    exit_code: int = 0
    sessions: tuple[int, int] = (1, 1)
    says: str = ""
    cost: tuple[float, float] = (SECONDS, SECONDS)
    billed: tuple[float, float] = (SECONDS, SECONDS)
    files: frozenset[str] = _TRANSCRIPT


def _fails(manner: Manner, says: str, *, each: tuple[float, float] = (SECONDS, SECONDS)) -> Ending:
    """Expect that no attempt brings anything."""
    return Ending(
        manner=manner,
        status="failed",
        exit_code=1,
        sessions=(3, 3),
        says=says,
        cost=(3 * each[0], 3 * each[1]),
        billed=_NOTHING,
        files=frozenset(),
    )


def _recovers(manner: Manner, *, each: tuple[float, float] = (SECONDS, SECONDS)) -> Ending:
    """Expect that the attempt after those that go wrong is whole."""
    wrong = manner.times
    return Ending(
        manner=manner,
        sessions=(wrong + 1, wrong + 1),
        cost=(SECONDS + wrong * each[0], SECONDS + wrong * each[1]),
    )


def _stops(manner: Manner, exit_code: int, says: str, *, sent: tuple[float, float]) -> Ending:
    """Expect that the run ends at once, and leaves the row as it was."""
    return Ending(
        manner=manner,
        status="not_run",
        exit_code=exit_code,
        sessions=(1, 1),
        says=says,
        cost=sent,
        billed=_NOTHING,
        files=frozenset(),
    )


def _doubted(manner: Manner, says: str, *, billed: float) -> Ending:
    """Expect that what came is kept, and bought again, but called done by nobody."""
    return Ending(
        manner=manner,
        status="suspect",
        exit_code=1,
        sessions=(2, 3),
        says=says,
        cost=(2 * billed, 3 * billed),
        billed=(2 * billed, 3 * billed),
        files=_SUSPECT,
    )


def _closes(code: int, reason: str = "", *, early: bool = True, times: int = 1_000) -> Manner:
    return Manner(close_code=code, close_reason=reason, closes_in_mid_audio=early, times=times)


_LIMIT: Final = "concurrent session limit reached"

ENDINGS: Final = {
    # Done: with the receipt, whatever comes behind it.
    "receipt, 1000": Ending(manner=Manner()),
    "receipt, then no close": Ending(manner=Manner(close_after_receipt=None)),
    "receipt, then 1011": Ending(manner=Manner(close_after_receipt=1011)),
    "receipt, then a break": Ending(manner=Manner(close_after_receipt=0)),
    "receipt late": Ending(manner=Manner(receipt_seconds=1.0)),
    "receipt, no words": Ending(manner=Manner(says_nothing=True)),
    "receipt of a little more": Ending(
        manner=Manner(billed_share=1.1), cost=(5.5, 5.5), billed=(5.5, 5.5)
    ),
    "receipt of far more": Ending(manner=Manner(billed_share=2.0), cost=(10, 10), billed=(10, 10)),
    "error that it gets over": Ending(
        manner=Manner(error={"code": "w1", "message": "late", "recoverable": True})
    ),
    "final behind the end of the utterance": Ending(
        manner=Manner(is_final_late=True), says="متأخرة"
    ),
    # Not done without one, and bought again.
    "no receipt, 1000": _fails(_closes(1000, early=False), "closed with 1000 before the receipt"),
    "no receipt, once": _recovers(_closes(1000, early=False, times=1)),
    "no receipt, a break": _fails(_closes(0, early=False), "1006"),
    "no receipt, no close": _fails(Manner(gives_no_receipt=True), "no receipt came"),
    "receipt before the end": _fails(
        Manner(receipt_early=True), "before all audio was sent", each=_ANY
    ),
    "1011 in mid-audio": _fails(_closes(1011, "internal"), "closed with 1011", each=_ANY),
    "1011 in mid-audio, once": _recovers(_closes(1011, "internal", times=1), each=_ANY),
    "4008": _fails(_closes(4008, "too far ahead"), "4008", each=_ANY),
    "4008, once": _recovers(_closes(4008, "too far ahead", times=1), each=_ANY),
    "error that ends it": _fails(
        Manner(error={"code": 500, "message": "عطل", "recoverable": False}), "500: عطل"
    ),
    "too many sessions, four times": _recovers(_closes(1008, _LIMIT, times=4), each=_ANY),
    # In doubt: kept, never called done.
    "receipt of half": _doubted(Manner(billed_share=0.5), "the receipt has 2.5 s", billed=2.5),
    "last words never final": _doubted(
        Manner(leaves_interim=True), "never made final", billed=SECONDS
    ),
    # What no other session could change ends the run.
    "wallet": _stops(_closes(1008, "insufficient wallet balance"), 69, "wallet", sent=_ANY),
    "wallet, as an error": _stops(
        Manner(error={"code": 1008, "message": "insufficient wallet balance"}),
        69,
        "wallet",
        sent=(SECONDS, SECONDS),
    ),
    "key": _stops(_closes(1008, "invalid api key"), 77, "invalid api key", sent=_ANY),
    "handshake 401": _stops(Manner(refuses=401), 77, "401", sent=_NOTHING),
    "handshake 403": _stops(Manner(refuses=403), 77, "403", sent=_NOTHING),
    "parameter": _stops(_closes(4002, "invalid parameter: model"), 78, "model", sent=_ANY),
}
