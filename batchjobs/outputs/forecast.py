"""What all rows would cost, take and come to, judged by a sample of them that is done."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.checkpoint.checks import CheckedOutcome, CheckVerdict
from batchjobs.jobs import BAD_ROW, TOO_COSTLY, Kind, Status
from batchjobs.planning.plan import Action
from batchjobs.providers import Provider

_DEVIATIONS: Final = 1.96
"""Of a normal distribution: 95 % lie within so many."""


class Estimate(NamedTuple):
    """A figure with the interval that holds it 19 times in 20."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected of all rows.

    Attributes:
        sampled: Rows that have been done, or tried in vain.
        left: Rows that have not.
        cost: Of all rows, what is spent already included, with the retries that the sample needed;
            None if several currencies are in it.
        currency: Of the cost.
        speech_seconds: Of all speech; zero where there is none.
        work_seconds: How long the rest takes, as fast as the sample went; None if nobody can say.
        bad_share: Share of results that failed, are suspect, or were found bad by a check.
        bad: How many of the sample those are.
    """

    sampled: int
    left: int
    cost: Estimate | None
    currency: str
    speech_seconds: Estimate
    work_seconds: float | None
    bad_share: Estimate
    bad: int


@dataclass(slots=True)
class _Ratio:
    """How much of something comes of a unit of something else, over rows."""

    pairs: list[tuple[float, float]] = field(default_factory=list)

    def estimate(self, units: float) -> Estimate:
        """Say what so many more units make."""
        total = sum(unit for unit, _ in self.pairs)
        if not total:
            return Estimate(0.0, 0.0, math.inf if units else 0.0)
        ratio = sum(value for _, value in self.pairs) / total
        count = len(self.pairs)
        if count < 2:
            return Estimate(0.0, ratio * units, math.inf if units else 0.0)
        squares = sum((value - ratio * unit) ** 2 for unit, value in self.pairs)
        error = math.sqrt(squares / (count * (count - 1))) / (total / count)
        reach = _DEVIATIONS * error * units
        return Estimate(max(ratio * units - reach, 0.0), ratio * units, ratio * units + reach)


@dataclass(slots=True)
class _Sample:
    """What is known of the done rows of one provider and kind."""

    units_left: float = 0.0
    price_left: float = 0.0
    cost: _Ratio = field(default_factory=_Ratio)
    speech: _Ratio = field(default_factory=_Ratio)
    session: _Ratio = field(default_factory=_Ratio)


def make_forecast(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> Forecast:
    """Judge all rows by those that are done.

    Args:
        checkpoint: The run folder's; rows left by a sample have the action `Action.LATER`.
        providers: By name, for the prices.
    """
    samples: dict[tuple[str, str], _Sample] = {}
    spent: dict[str, float] = {}
    keys: set[str] = set()
    busy: list[JobRecord] = []
    sampled = left = bad = 0
    speech_done = 0.0
    for outcome in checkpoint.checks.stream_outcomes():
        row, record, _ = outcome
        if not row.kind:
            continue
        sample = samples.setdefault((row.provider, row.kind), _Sample())
        provider = providers.get(row.provider)
        if record is None:
            left += 1
            if row.action == Action.LATER and row.key not in keys:
                sample.units_left += row.characters or row.seconds
                sample.price_left += _price(provider, row.characters, row.seconds)
            keys.add(row.key)
            continue
        keys.add(row.key)
        sampled += 1
        bad += is_bad(outcome)
        speech_done += record.audio_seconds if row.kind == Kind.TTS else 0.0
        if record.copied_from or record.error_class in {BAD_ROW, TOO_COSTLY}:
            continue
        _learn(sample, row, record, provider)
        if provider is not None:
            spent[provider.currency] = spent.get(provider.currency, 0.0) + record.cost
        busy.append(record)
    currencies = {
        providers[name].currency
        for (name, _), each in samples.items()
        if name in providers and (each.price_left or any(price for price, _ in each.cost.pairs))
    }
    currency = currencies.pop() if len(currencies) == 1 else ""
    costs = [each.cost.estimate(each.price_left) for each in samples.values()]
    speech = [
        each.speech.estimate(each.units_left)
        for (_, kind), each in samples.items()
        if kind == Kind.TTS
    ]
    session_seconds = sum(
        each.session.estimate(each.units_left).likely for each in samples.values()
    )
    at_once = _count_at_once(busy)
    return Forecast(
        sampled=sampled,
        left=left,
        cost=None if currencies else _add(costs, spent.get(currency, 0.0)),
        currency=currency,
        speech_seconds=_add(speech, speech_done),
        work_seconds=session_seconds / at_once if at_once else None,
        bad_share=estimate_share(bad, sampled),
        bad=bad,
    )


def is_bad(outcome: CheckedOutcome) -> bool:
    """Whether a row's result is none to be used as it is."""
    _, record, check = outcome
    found_bad = check is not None and check.verdict is CheckVerdict.BAD
    return found_bad or (record is not None and record.status is not Status.DONE)


def estimate_share(count: int, of: int) -> Estimate:
    """Estimate a share by a sample (Wilson's interval: right for few and for none, too)."""
    if not of:
        return Estimate(0.0, 0.0, 1.0)
    share, square = count / of, _DEVIATIONS**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = math.sqrt(share * (1 - share) / of + square / (4 * of**2)) * _DEVIATIONS
    reach /= 1 + square / of
    return Estimate(max(middle - reach, 0.0), share, min(middle + reach, 1.0))


def _learn(sample: _Sample, row: Row, record: JobRecord, provider: Provider | None) -> None:
    """Take a done row into what is known of its kind."""
    is_speech = row.kind == Kind.TTS
    characters = len(row.read_job().text) if is_speech else 0
    seconds = 0.0 if is_speech else record.audio_seconds
    units = characters or seconds
    sample.cost.pairs.append((_price(provider, characters, seconds), record.cost))
    if record.status is not Status.FAILED:
        sample.speech.pairs.append((units, record.audio_seconds))
    if record.evidence is not None:
        sample.session.pairs.append((units, record.evidence.session_seconds))


def _price(provider: Provider | None, characters: int, seconds: float) -> float:
    return 0.0 if provider is None else provider.cost_of(characters=characters, seconds=seconds)


def _count_at_once(records: Iterable[JobRecord]) -> float:
    """Say how many sessions were open at once, on average; 0 if nobody can say.

    Records that come in pieces, an hour or more apart, are of several runs.
    """
    spans = sorted(
        (
            each.finished_at - each.evidence.session_seconds,
            each.finished_at,
            each.evidence.session_seconds,
        )
        for each in records
        if each.evidence is not None and each.segments == 1
    )
    elapsed = worked = 0.0
    until = -math.inf
    for began, ended, seconds in spans:
        elapsed += max(ended - max(began, until), 0.0)
        worked += seconds
        until = max(until, ended)
    return worked / elapsed if elapsed else 0.0


def _add(estimates: Iterable[Estimate], known: float) -> Estimate:
    """Add up independent estimates, and what is known for sure."""
    likely, below, above = known, 0.0, 0.0
    for each in estimates:
        likely += each.likely
        below += (each.likely - each.low) ** 2
        above += (each.high - each.likely) ** 2
    return Estimate(max(likely - math.sqrt(below), known), likely, likely + math.sqrt(above))
