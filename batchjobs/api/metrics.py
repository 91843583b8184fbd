"""How a run stands in Prometheus' text form: a file for its node exporter, or whoever scrapes files."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import trio

from batchjobs.errors import BatchjobsError
from batchjobs.files.atomic import write_whole
from batchjobs.planning.plan import Plan
from batchjobs.runner.requests import RunFacts

_logger = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 5.0
_ENDED: Final = "ended"
_STATES: Final = ("running", "paused", "waiting", "stopping", _ENDED)
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_Sample = tuple[Mapping[str, str], float]


async def write_metrics(path: Path, plan: Plan, find_facts: Callable[[], RunFacts]) -> None:
    """Write a file every few seconds until cancelled, and once more then; each time whole.

    Args:
        path: The file.
        plan: What the run has to do.
        find_facts: Says how it stands.
    """
    has_failed = False
    try:
        while True:
            text = to_prometheus(find_facts(), plan, now=time.time())
            has_failed = await trio.to_thread.run_sync(_write, path, text, has_failed)
            await trio.sleep(_EVERY_SECONDS)
    finally:
        facts = find_facts()
        with trio.CancelScope(shield=True):
            text = to_prometheus(facts, plan, now=time.time(), has_ended=True)
            await trio.to_thread.run_sync(_write, path, text, has_failed)


def _write(path: Path, text: str, has_failed: bool) -> bool:  # noqa: FBT001  # a thread's argument
    """Write the file; no measure is worth a run. Gives whether it failed, which is said once."""
    try:
        write_whole(path, text.encode())
    except (BatchjobsError, OSError) as error:
        if not has_failed:
            # Without its hint, which is about the run folder.
            reason = error.message if isinstance(error, BatchjobsError) else error
            _logger.warning("the metrics cannot be written: %s", reason)
        return True
    return False


def to_prometheus(facts: RunFacts, plan: Plan, *, now: float, has_ended: bool = False) -> str:
    """Write how a run stands.

    Args:
        facts: How it stands.
        plan: What it has to do.
        now: Unix time.
        has_ended: It is over.
    """
    state = _ENDED if has_ended else facts.state
    lines = [
        line
        for name, kind, text, samples in _families(facts, plan, state, now)
        for line in _lines(f"batchjobs_{name}", kind, text, facts.folder, samples)
    ]
    return "\n".join(lines) + "\n"


def _families(
    facts: RunFacts, plan: Plan, state: str, now: float
) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    """List the measures: name, kind, what it is, and its values."""
    results = {"done": facts.done, "suspect": facts.suspect, "failed": facts.failed}
    spent = facts.spent
    services = {each.provider: each for each in facts.services}
    yield (
        "run_state",
        "gauge",
        "1 for the state that the run is in.",
        [({"state": each}, each == state) for each in _STATES],
    )
    yield "rows", "gauge", "Rows of the manifest.", [({}, plan.rows)]
    yield (
        "rows_to_do",
        "gauge",
        "Rows that this run was to answer when it began.",
        [({}, plan.to_do)],
    )
    yield (
        "jobs_total",
        "counter",
        "Jobs that ended in this run, by how.",
        [({"result": name}, count) for name, count in results.items()],
    )
    yield "jobs_waiting", "gauge", "Jobs that wait for another try.", [({}, facts.waiting)]
    yield (
        "sessions_open",
        "gauge",
        "Sessions that are open.",
        [({"provider": name}, each.sessions_open) for name, each in services.items()],
    )
    yield (
        "sessions_allowed",
        "gauge",
        "Sessions that may be open now.",
        [({"provider": name}, each.concurrency) for name, each in services.items()],
    )
    yield (
        "service_reachable",
        "gauge",
        "0 while a service cannot be reached.",
        [({"provider": name}, not each.is_out_of_reach) for name, each in services.items()],
    )
    accounts = [
        ({"provider": name, "account": each.account}, each)
        for name, service in services.items()
        for each in service.accounts
    ]
    yield (
        "account_sessions_open",
        "gauge",
        "Sessions that are open with each of several accounts.",
        [(labels, each.sessions_open) for labels, each in accounts],
    )
    yield (
        "account_sessions_allowed",
        "gauge",
        "Sessions that may be open with each; 0 if it takes no more in this run.",
        [(labels, each.concurrency) for labels, each in accounts],
    )
    over = "over all runs in the folder"
    yield (
        "spent_money_total",
        "counter",
        f"Money spent {over}, in its currency.",
        [({}, spent.money)],
    )
    yield "sent_characters_total", "counter", f"Characters sent {over}.", [({}, spent.characters)]
    yield (
        "sent_audio_seconds_total",
        "counter",
        f"Recordings sent {over}.",
        [({}, spent.audio_seconds)],
    )
    is_out = bool(facts.limit_reached)
    yield "limit_reached", "gauge", "1 if a limit has no room.", [({}, is_out)]
    yield "began_timestamp_seconds", "gauge", "When the run began.", [({}, facts.began_at)]
    yield "written_timestamp_seconds", "gauge", "When this was written.", [({}, now)]


def _lines(name: str, kind: str, text: str, folder: str, samples: list[_Sample]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        shown = ",".join(
            f'{label}="{content.translate(_ESCAPES)}"'
            for label, content in ({"run": folder} | dict(labels)).items()
        )
        yield f"{name}{{{shown}}} {float(value)!r}"
