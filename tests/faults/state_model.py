"""What is known of a run folder: its rows, what was bought for them, and what the next run must buy."""

import functools
import hashlib
import json
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from hypothesis.stateful import (
    RuleBasedStateMachine,
)

import batchjobs
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.checkpoint.records import read_record
from batchjobs.jobs import Evidence, derive_id
from tests.faults.state_world import (
    ATTEMPTS,
    BLANK,
    CONCURRENCY,
    FORMATS,
    LOSSLESS,
    Held,
    Unsettled,
    World,
    digest_of,
)
from tests.faults.zygote import options_of

__all__ = ["Model", "trace"]

_Machine = TypeVar("_Machine", bound="Model")
_Step = ParamSpec("_Step")


def trace(
    step: Callable[Concatenate[_Machine, _Step], None],
) -> Callable[Concatenate[_Machine, _Step], None]:
    """Write a step down before it is taken."""

    @functools.wraps(step)
    def taken(machine: _Machine, /, *drawn: _Step.args, **arguments: _Step.kwargs) -> None:
        machine.trail.append(f"{step.__name__}({arguments})")
        step(machine, *drawn, **arguments)

    return taken


class Model(RuleBasedStateMachine):
    """The rows of a run folder, and what was bought for them."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.place = Path(tempfile.mkdtemp(prefix="example-", dir=world.root))
        self.folder = self.place / "run"
        self.manifest = self.place / "rows.jsonl"
        self.trail: list[str] = []
        self.rows: list[dict[str, object]] = []
        self.held: list[Held] = []
        self.distrusted: list[Held] = []
        self.current: dict[str, Held] = {}
        self.unsettled: dict[str, Unsettled] = {}
        self.accepted: dict[Evidence | None, Unsettled] = {}
        self.format = "wav"
        self.voice = "first-voice"
        self.names = 0
        self.kills = 0
        self.copies = 0
        world.counts["examples"] += 1

    def hold(self, name: str, *, holds: bool, why: object = "") -> None:
        """State an invariant; its breach is remembered by name."""
        if not holds:
            stack = " < ".join(frame.name for frame in traceback.extract_stack()[-2:-6:-1])
            trail = "\n  ".join([stack, *self.trail])
            self.world.breaches.append(f"{name}: {why}\n  {trail}")
        assert holds, f"{name}: {why}"

    def id_of(self, row: dict[str, object]) -> str:
        """Give the id that a row has or gets."""
        return str(row.get("id") or derive_id(row))

    def key_of(self, row: dict[str, object]) -> tuple[str, str, int]:
        """Give all that a row's result depends on."""
        take = row.get("take") or 0
        assert isinstance(take, int)
        return str(row["text"]), str(row.get("voice_id") or self.voice), take

    def place_of(self, row: dict[str, object]) -> str:
        """Give where a row's result has to stand."""
        return str(row.get("output") or f"audio/{self.id_of(row)}.{self.format}")

    def is_there(self, held: Held, *, exactly: bool) -> bool:
        """Whether a result's file has its size, or its very bytes, and `verify` found no fault."""
        return held not in self.distrusted and self.stands(held, exactly=exactly)

    def stands(self, held: Held, *, exactly: bool) -> bool:
        """Whether a result's file has its size, or its very bytes, now."""
        path = self.folder / held.output
        if not path.is_file() or path.stat().st_size != held.size:
            return False
        return not exactly or digest_of(path, held.head_bytes) == held.sha256

    def is_done(self, row: dict[str, object]) -> bool:
        """Whether a run must leave a row alone."""
        held = self.current.get(self.id_of(row))
        return (
            held is not None
            and (held.key, held.output) == (self.key_of(row), self.place_of(row))
            and self.is_there(held, exactly=False)
        )

    def is_settled(self, row: dict[str, object], *, retries: bool) -> bool:
        """Whether a row has failed for good or is in doubt, and nothing of others helps it."""
        known = self.unsettled.get(self.id_of(row))
        return (
            known is not None
            and known.key == self.key_of(row)
            and not known.is_passing
            and not retries
            and not self.donors(row, exactly=False)
        )

    def donors(self, row: dict[str, object], *, exactly: bool) -> list[Held]:
        """Give the results that can become a row's own."""
        wanted = {*LOSSLESS, Path(self.place_of(row)).suffix}
        return [
            held
            for held in self.held
            if held.key == self.key_of(row)
            and Path(held.output).suffix in wanted
            and self.is_there(held, exactly=exactly)
        ]

    def purchases(self, *, most: bool = False, retries: bool = False) -> Counter[tuple[str, str]]:
        """Say what the next run has to buy.

        Args:
            most: Count also what it may buy because a copy takes the place of the only donor of
                another copy, as when two rows swap their texts: they are not put in order.
            retries: Whether it buys again what has failed or is in doubt.
        """
        missing: dict[tuple[str, str, int], set[str]] = {}
        to_do = [
            row
            for row in self.good_rows
            if not self.is_done(row) and not self.is_settled(row, retries=retries)
        ]
        taken = {
            self.place_of(row): self.key_of(row) for row in to_do if self.donors(row, exactly=False)
        }
        for row in to_do:
            key = self.key_of(row)
            donors = self.donors(row, exactly=True)
            if most:
                donors = [held for held in donors if taken.get(held.output, key) == key]
            if not donors:
                missing.setdefault(key, set()).add(Path(self.place_of(row)).suffix)
        found: Counter[tuple[str, str]] = Counter()
        for (words, voice, _), endings in missing.items():
            # An exact result serves all the others; one that is not serves its own kind.
            count = 1 if endings & {*LOSSLESS} and not most else len(endings)
            found[hashlib.sha256(words.encode()).hexdigest(), voice] += count
        return found

    def compare(self, least: Counter[tuple[str, str]], most: Counter[tuple[str, str]]) -> None:
        """Compare what was sold with what had to be, and may have been, bought.

        What ended in doubt, or failed, was not sold whole; for what nobody was to buy no session
        was opened either.
        """
        sold = self.world.sold()
        open_rows = [row for row in self.good_rows if self.id_of(row) in self.without_result()]
        without: Counter[tuple[str, str]] = Counter()
        for words, voice, _ in {self.key_of(row) for row in open_rows}:
            without[hashlib.sha256(words.encode()).hexdigest(), voice] += len(FORMATS)
        is_right = least - without <= sold <= (least | most)
        self.world.counts["bought again after a swap"] += (sold - least).total()
        self.hold("bought what was missing, once", holds=is_right, why=(sold, least, most))
        idle = {*self.world.opened} - {*(least | most)}
        self.hold("nothing is asked that is not missing", holds=not idle, why=(idle, least, most))

    @property
    def good_rows(self) -> list[dict[str, object]]:
        """The rows that can be run."""
        return [row for row in self.rows if row["text"] != BLANK]

    # -- running --------------------------------------------------------------------------------

    def request_for(self, *, attempts: int = ATTEMPTS, retries: bool = False) -> dict[str, str]:
        """Say what a process of its own is told of the next run."""
        return {
            "base_url": self.world.base_url,
            "output": str(self.folder),
            "concurrency": str(CONCURRENCY),
            "attempts": str(attempts),
            "retry_failed": "yes" if retries else "",
            "audio_format": self.format,
            "voice": self.voice,
        }

    @property
    def options(self) -> batchjobs.Options:
        """The options of the next run."""
        return options_of(self.request_for())

    def write(self) -> None:
        """Write the manifest."""
        lines = (json.dumps(row, ensure_ascii=False) for row in self.rows)
        self.manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def without_result(self) -> dict[str, JobRecord]:
        """Look up the jobs that have failed or are in doubt, not what they had before an edit."""
        query = "SELECT record FROM jobs WHERE status <> 'done' AND NOT instr(id, char(31))"
        with (
            Checkpoint.read(self.folder) as checkpoint,
            checkpoint._database.use() as database,
        ):
            records = [read_record(content) for (content,) in database.execute(query)]
        return {record.id: record for record in records}
