"""A run folder's life as a state machine: edits, kills, damage; what is bought is counted elsewhere.

The model is a list of rows and what was bought for them; the server's ledger tells what was bought
in truth, the tones in the files what they say. The long form prints a table::

    python -m tests.faults.state --seconds 300 --seed 1
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Concatenate, ParamSpec, cast

import pytest
import trio
from hypothesis import HealthCheck, Phase, core, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import batchjobs
from batchjobs.api import execute
from batchjobs.audio import decoding
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.checkpoint.records import read_record
from batchjobs.errors import BatchjobsError, DiskError, OutputError, RecordingError, RunLockedError
from batchjobs.files.atomic import part_path
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.jobs import Evidence, Status, derive_id
from batchjobs.outputs.summary import RunSummary
from batchjobs.progress import Event, JobFinished
from batchjobs.server.engines.tone import ToneRecogniser
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.faults.bench import knock
from tests.faults.zygote import hurried_policy, options_of
from tests.recordings import read_pcm
from tests.whole_runs import served

__all__ = ["FAULTS", "TEXTS", "RunFolder", "World", "live", "world_of"]

CONCURRENCY = 3
ATTEMPTS = 20
DOUBTFUL = frozenset({"silence", "half-sample", "close"})
"""Faults whose audio comes to an end, and is not what was asked for."""
LOSSLESS = (".wav", ".flac")
FAULTS = (
    "drop@0.06",
    "garbage@0.06",
    "close:1000@0.08",
    "error:50001@0.04",
    "silence@0.12",
    "half-sample@0.06",
)
"""A share of all sessions fails in every way that looks nearly like success.

Not `truncate`: of a voice whose pace is not known yet, 40 % of a text cannot be told from all of it.
"""

TEXTS = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ",
    "صباح الخير، كيف حالك اليوم يا صديقي؟",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد كثيرًا.",
    "نستخدم مكتبة trio مع WebSocket لإنجاز العمل!",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل.",
    "العربية لغةٌ جميلة؛ فاستمع إليها على مهل.",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f.",
    "می\u200cخواهم بروم به خانه و بخوابم",
    "می\u200dخواهم بروم به خانه و بخوابم",
    "آمن الرجل بما قيل له في المدينة",
    "ا\u0653من الرجل بما قيل له في المدينة",
    "naïve café in Ångström and 東京 🎧",
    "nai\u0308ve cafe\u0301 in Ångström and 東京 🎧",
    " مسافة في الأول وسطر\nثانٍ في الآخر ",
    "English then عربي then English again",
    'he said "run it, again"; and it ran',
)
VOICES = ("", "ar-najdi-male-2", "other-voice")
FORMATS = ("wav", "flac", "ogg")
BLANK = " ــ …"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A finished job as the model knows it: what it was bought for, and its file's bytes then."""

    id: str
    key: tuple[str, str, int]
    output: str
    sha256: str
    head_bytes: int
    size: int
    product_key: str
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A job without a good result as the model knows it: failed, or kept in doubt.

    What a job in doubt has no more than a failed one: a file, its bytes, and what they were bought for.
    """

    id: str
    key: tuple[str, str, int]
    product_key: str
    is_suspect: bool
    is_passing: bool
    output: str = ""
    sha256: str = ""
    pcm_sha256: str = ""
    evidence: Evidence | None = None


@dataclass(kw_only=True)
class World:
    """What all examples share: a server in a process of its own, and the counts over all of them."""

    root: Path
    base_url: str
    ledger: Path
    forks: "tuple[Fork, Fork]"
    breaches: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    opened: Counter[tuple[str, str]] = field(default_factory=Counter)
    struck: set[tuple[str, str]] = field(default_factory=set)
    _offset: int = 0
    _open: int = 0

    def sold(self) -> Counter[tuple[str, str]]:
        """Count what was sold since the last call, once every session has ended: text and voice.

        `opened` has then all sessions since, whatever came of them, and `struck` those that ever
        ended with audio which was not what was asked for.
        """
        sold: Counter[tuple[str, str]] = Counter()
        self.opened = Counter()
        knock(self.base_url)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.ledger.open("rb") as file:
                file.seek(self._offset)
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in map(json.loads, whole.splitlines()):
                self._open += 1 if line["event"] == "start" else -1
                if line["event"] == "start" or not line["characters"]:
                    continue
                asked = line["text_sha256"], line["voice_id"]
                self.opened[asked] += 1
                sold[asked] += line["complete"]
                if line["fault"] in DOUBTFUL:
                    self.struck.add(asked)
            if not self._open:
                self.counts["sold"] += sold.total()
                return +sold
            assert time.monotonic() < deadline, "a session of the server did not end"
            time.sleep(0.002)


@contextlib.contextmanager
def world_of(root: Path, *faults: str) -> Iterator[World]:
    """Serve tones with faults for as long as the block lasts."""
    before = os.environ.get("BATCHJOBS_LOCAL_KEY")
    os.environ["BATCHJOBS_LOCAL_KEY"] = KEY
    ledger = root / "ledger.jsonl"
    ledger.touch()
    arguments = [part for fault in faults for part in ("--fault", fault)]
    try:
        with served(root, "--engine", "tone", "--ledger", ledger, *arguments) as base_url:
            forks = Fork(root), Fork(root)
            try:
                yield World(root=root, base_url=base_url, ledger=ledger, forks=forks)
            finally:
                for fork in forks:
                    fork.close()
    finally:
        os.environ.pop("BATCHJOBS_LOCAL_KEY")
        if before is not None:
            os.environ["BATCHJOBS_LOCAL_KEY"] = before


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Let retries wait a fiftieth of their time, in this process too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "RetryPolicy", hurried_policy)
        yield


class Fork:
    """Starts runs in processes of their own, one after the other.

    Args:
        folder: Where they work.
    """

    def __init__(self, folder: Path) -> None:
        kept = {n: v for n, v in os.environ.items() if not n.startswith("COVERAGE_")}
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=folder,
            env=kept | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def close(self) -> None:
        """End the zygote."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.wait(PATIENCE_SECONDS)
        self._zygote.stdout.close()

    def _line(self) -> int:
        assert self._zygote.stdout is not None
        return int(self._zygote.stdout.readline())

    def start(self, manifest: Path, request: dict[str, str]) -> int:
        """Start a run; gives its process's id once it has begun."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(request | {"manifest": str(manifest)}) + "\n")
        return self._line()

    def wait(self) -> int:
        """Wait for the run's end; gives its exit code, less than 0 for the signal that ended it."""
        return self._line()


_HEARD: dict[str, str] = {}


def digest_of(path: Path, head_bytes: int) -> str:
    """Hash a file, its first bytes last."""
    content = path.read_bytes()
    return hashlib.sha256(content[head_bytes:] + content[:head_bytes]).hexdigest()


def heard(path: Path) -> str:
    """Give the text that a file's tones carry."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in _HEARD:
        try:
            _, rate = decoding.measure(path)
            _HEARD[digest] = ToneRecogniser().start().accept(read_pcm(path), rate)
        except RecordingError:
            _HEARD[digest] = ""
    return _HEARD[digest]


_Step = ParamSpec("_Step")


def told(
    step: Callable[Concatenate["RunFolder", _Step], None],
) -> Callable[Concatenate["RunFolder", _Step], None]:
    """Write a step down before it is taken."""

    @functools.wraps(step)
    def taken(machine: "RunFolder", /, *drawn: _Step.args, **arguments: _Step.kwargs) -> None:
        machine.trail.append(f"{step.__name__}({arguments})")
        step(machine, *drawn, **arguments)

    return taken


class RunFolder(RuleBasedStateMachine):
    """One run folder, from its first run to its last."""

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

    # -- the model ------------------------------------------------------------------------------

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

    def settle(
        self,
        observe: Callable[[Event], None] | None = None,
        *,
        attempts: int = ATTEMPTS,
        retries: bool = False,
    ) -> None:
        """Run to the end, and check everything against the model and the server's ledger."""
        self.write()
        least = self.purchases(retries=retries)
        most = self.purchases(most=True, retries=retries)
        kept_failures = {
            self.id_of(row)
            for row in self.good_rows
            if self.is_settled(row, retries=retries) or attempts < ATTEMPTS
        }
        options = options_of(self.request_for(attempts=attempts, retries=retries))
        with hurried():
            report = batchjobs.run(self.manifest, options, observe=observe)
        self.world.counts["runs"] += 1
        self.compare(least, most)
        self.check(report.summary, report.exit_code)
        ended = {self.id_of(row) for row in self.open_rows}
        failed = {name for name in ended if not self.unsettled[name].is_suspect}
        self.hold("none fails that need not", holds=failed <= kept_failures, why=failed)

    def check(self, summary: RunSummary, exit_code: int) -> None:
        """Check the folder of a run that has come to its end."""
        self.learn()
        self.check_counts(summary, exit_code)
        self.check_results()
        self.check_unsettled()
        found = {line.partition(":")[0] for line in batchjobs.verify(self.folder).wrong}
        told = self.distrusted
        self.distrusted = [held for held in self.held if not self.stands(held, exactly=True)]
        wrong = {held.id for held in self.distrusted if held not in told or self.is_asked_for(held)}
        self.hold("verify finds the damage, and only it", holds=found == wrong, why=(found, wrong))
        # A kill may leave the unfinished file of a row that has another place since.
        places = {part_path(self.folder / self.place_of(row)) for row in self.good_rows}
        halves = {*self.folder.rglob("*.part")}
        self.world.counts["unfinished files left by kills"] += len(halves)
        unsettled = {part_path(self.folder / self.place_of(row)) for row in self.open_rows}
        is_clean = not halves & (places - unsettled) if self.kills else not halves
        self.hold("no half file", holds=is_clean, why=halves)
        beside = {path.name for path in self.place.iterdir()} - {"copies"}
        self.hold("no file outside", holds=beside == {"run", "rows.jsonl"}, why=beside)

    def check_counts(self, summary: RunSummary, exit_code: int) -> None:
        """Check what a run says of itself."""
        rows, bad = len(self.rows), len(self.rows) - len(self.good_rows)
        found = [self.unsettled[self.id_of(row)] for row in self.open_rows]
        suspect = sum(each.is_suspect for each in found)
        failed = bad + len(found) - suspect
        counted = (summary.rows, summary.done, summary.suspect, summary.failed, summary.not_run)
        right = (rows, rows - suspect - failed, suspect, failed, 0)
        self.hold("the counts add up", holds=counted == right, why=(right, summary))
        self.hold("the exit code is true", holds=exit_code == int(rows > right[1]), why=exit_code)

    @property
    def open_rows(self) -> list[dict[str, object]]:
        """The rows that have failed or are in doubt, as far as the model knows."""
        return [
            row
            for row in self.good_rows
            if (known := self.unsettled.get(self.id_of(row))) is not None
            and known.key == self.key_of(row)
        ]

    def check_results(self) -> None:
        """Check the results of a run that has come to its end, and their files."""
        lines = [json.loads(x) for x in (self.folder / "results.jsonl").read_bytes().splitlines()]
        told = {line["id"]: line for line in lines}
        done = [row for row in self.good_rows if row not in self.open_rows]
        is_each = len(lines) == len(told) == len(done)
        self.hold("a line for each row", holds=is_each, why=sorted(told))
        damaged = self.silently_damaged()
        for row in done:
            name, place = self.id_of(row), self.place_of(row)
            line = told.get(name, {})
            self.hold("its line says so", holds=line.get("output") == place, why=(row, line))
            self.hold("its text is its own", holds=line.get("text") == row["text"], why=(row, line))
            path = self.folder / place
            self.hold("its file is there", holds=path.is_file(), why=row)
            if name not in damaged and self.current[name].evidence not in self.accepted:
                self.hold(
                    "its file says it", holds=heard(path) == row["text"], why=(row, heard(path))
                )

    def check_unsettled(self) -> None:
        """Check what is in doubt: told, kept, nowhere else; and that its folder has nothing else."""
        lines = [json.loads(x) for x in (self.folder / "failed.jsonl").read_bytes().splitlines()]
        told = {line["id"]: line.get("kept", {}).get("output", "") for line in lines}
        for row in self.open_rows:
            known = self.unsettled[self.id_of(row)]
            self.hold("it is told", holds=told.get(known.id) == known.output, why=(known, told))
            if not known.is_suspect:
                continue
            self.world.counts["in doubt at the end of a run"] += 1
            asked = hashlib.sha256(known.key[0].encode()).hexdigest(), known.key[1]
            self.hold("in doubt for a reason", holds=asked in self.world.struck, why=known)
            place = self.place_of(row)
            is_ours = (self.folder / place).is_file() and self.kills == 0
            is_result = any(held.output == place for held in self.held)
            self.hold("not under its final name", holds=is_result or not is_ours, why=known)
        self.check_kept()

    def check_kept(self) -> None:
        """Check that the folder of what is in doubt has that, and nothing else.

        What rows had in doubt before they were edited is kept as well, for who undoes the edit.
        """
        kept = {known.output for known in self.unsettled.values() if known.is_suspect}
        with contextlib.closing(sqlite3.connect(self.folder / CHECKPOINT)) as database:
            apart = "SELECT output FROM jobs WHERE status = 'suspect' AND instr(id, char(31))"
            kept |= {output for (output,) in database.execute(apart)}
        found = {str(path.relative_to(self.folder)) for path in self.folder.glob("suspect/*")}
        self.hold("only what is in doubt is kept", holds=found == kept, why=(found, kept))
        is_empty = not kept and (self.folder / "suspect").exists()
        self.hold("no folder without use", holds=not is_empty)

    def is_asked_for(self, held: Held) -> bool:
        """Whether a row asks for this very result, there."""
        asked = (held.id, held.key, held.output)
        return any(
            (self.id_of(row), self.key_of(row), self.place_of(row)) == asked
            for row in self.good_rows
        )

    def silently_damaged(self) -> set[str]:
        """Finished jobs whose file has its size, but not its bytes: only `verify` looks so far."""
        return {
            name
            for name, held in self.current.items()
            if self.stands(held, exactly=False) and not self.stands(held, exactly=True)
        }

    def learn(self) -> Counter[tuple[str, str]]:
        """Take over what a run committed since; give what of it was bought, by text and voice.

        A job may have several results: those that an edit left behind serve whoever asks for them
        again. Only what a later result took the place of may be forgotten.
        """
        self.learn_unsettled()
        with Checkpoint.read(self.folder) as checkpoint:
            records = list(checkpoint.lookups.stream_done())
            current = checkpoint.lookups.find([record.id for record in records])
        # Bought again, it has the same bytes, and evidence of its own.
        before = {
            (held.id, held.product_key, held.output, held.sha256, held.evidence): held
            for held in self.held
        }
        bought: Counter[tuple[str, str]] = Counter()
        kept: list[Held] = []
        self.current = {}
        for record in records:
            digest = record.files[0].sha256
            name = (record.id, record.key, record.output, digest, record.evidence)
            held = before.pop(name, None)
            if held is None:
                held = self.learned(record)
                # A job's own earlier result, in another format now, was bought for it before.
                is_its_own = any(held.evidence == other.evidence for other in self.held)
                is_its_own |= held.evidence in self.accepted
                if not record.copied_from and not is_its_own:
                    bought[hashlib.sha256(held.key[0].encode()).hexdigest(), held.key[1]] += 1
            if current.get(record.id) == record:
                self.current[record.id] = held
            kept.append(held)
        fresh = [held for held in kept if held not in self.held]
        for held in before.values():
            replaced = any(held.id == new.id or held.output == new.output for new in fresh)
            # What was gone or damaged, and could not be bought again, is in doubt or has failed.
            again = self.unsettled.get(held.id)
            is_again = again is not None and again.product_key == held.product_key
            replaced |= is_again and not self.is_there(held, exactly=True)
            self.hold("nothing bought is forgotten", holds=replaced, why=held)
        self.held = kept
        return bought

    def without_result(self) -> dict[str, JobRecord]:
        """Look up the jobs that have failed or are in doubt, not what they had before an edit."""
        query = "SELECT record FROM jobs WHERE status <> 'done' AND NOT instr(id, char(31))"
        with (
            Checkpoint.read(self.folder) as checkpoint,
            checkpoint._database.use() as database,
        ):
            records = [read_record(content) for (content,) in database.execute(query)]
        return {record.id: record for record in records}

    def learn_unsettled(self) -> None:
        """Take over which jobs have failed or are in doubt; what was kept, is, or is settled."""
        before, self.unsettled = self.unsettled, {}
        rows = {self.id_of(row): row for row in self.good_rows}
        for name, record in self.without_result().items():
            if record.error_class == "bad_row":
                continue
            known = before.get(name)
            if known is None or known.product_key != record.key:
                key = self.key_of(rows[name]) if name in rows else ("", "", 0)
            else:
                key = known.key
            self.unsettled[name] = self.kept_of(record, key)
        for known in before.values():
            now = self.unsettled.get(known.id)
            is_asked = known.id in rows and known.key == self.key_of(rows[known.id])
            if known.is_suspect and is_asked and (now is None or not now.is_suspect):
                self.hold("what was kept is kept, or settled", holds=now is None, why=(known, now))

    def kept_of(self, record: JobRecord, key: tuple[str, str, int]) -> Unsettled:
        """Check what is kept of a job in doubt."""
        made = Unsettled(
            id=record.id,
            key=key,
            product_key=record.key,
            is_suspect=record.status is Status.SUSPECT,
            is_passing=record.is_passing,
        )
        if not made.is_suspect:
            return made
        path, file = self.folder / record.output, record.files[0]
        self.hold("what is in doubt is kept apart", holds=path.parent.name == "suspect", why=record)
        self.hold("what is in doubt is there", holds=path.is_file(), why=record)
        is_whole = digest_of(path, file.head_bytes) == file.sha256
        self.hold("what is in doubt is whole", holds=is_whole, why=record)
        return replace(
            made,
            output=record.output,
            sha256=digest_of(path, 0),
            pcm_sha256=record.pcm_sha256,
            evidence=record.evidence,
        )

    def learned(self, record: JobRecord) -> Held:
        """Check a result that is new."""
        accepted = self.accepted.get(record.evidence)
        rows = {self.id_of(row): row for row in self.good_rows}
        row = rows.get(record.id)
        if accepted is None:
            self.hold("only rows of the manifest are done", holds=row is not None, why=record)
        key = accepted.key if accepted is not None else self.key_of(row or {})
        file, path = record.files[0], self.folder / record.output
        self.hold("what is done is there", holds=path.is_file(), why=record)
        is_whole = digest_of(path, file.head_bytes) == file.sha256
        self.hold("what is done is whole", holds=is_whole, why=record)
        if accepted is None:
            is_right, why = heard(path) == key[0], heard(path)
        else:
            is_right, why = record.pcm_sha256 == accepted.pcm_sha256, accepted.output
            if path.suffix in LOSSLESS:
                samples = hashlib.sha256(read_pcm(path)).hexdigest()
                is_right &= samples == accepted.pcm_sha256
        self.hold("what is done is right", holds=is_right, why=(record, why))
        return Held(
            id=record.id,
            key=key,
            output=record.output,
            sha256=file.sha256,
            head_bytes=file.head_bytes,
            size=file.bytes,
            product_key=record.key,
            evidence=record.evidence,
        )

    def after_a_kill(self) -> None:
        """Learn what was committed; what was bought beyond that was open at the kill."""
        sold = self.world.sold()
        if not (self.folder / CHECKPOINT).exists():
            self.hold("nothing bought before there is a checkpoint", holds=not sold, why=sold)
            return
        try:
            bought = self.learn()
        except BatchjobsError as error:
            self.hold("a kill leaves a readable checkpoint", holds=error.exit_code == 2, why=error)
            return
        lost = sold - bought
        repeated = bought - sold
        self.world.counts["bought and lost to a kill"] += lost.total()
        self.hold("what is done was bought", holds=not repeated, why=repeated)
        self.hold("at most the concurrency is lost", holds=lost.total() <= CONCURRENCY, why=lost)

    def make_work(self) -> None:
        """Let three rows be purchases of their own: who stops a run that has nothing to do?"""
        for row in self.rows[:3]:
            self.names += 1
            if "id" in row:
                row["take"] = 10 + self.names

    # -- rules ----------------------------------------------------------------------------------

    def add(self, words: str, **columns: object) -> None:
        """Add a row at the end."""
        row: dict[str, object] = {"id": f"r{self.names}"} | columns | {"text": words}
        self.names += 1
        if "id" in columns and not columns["id"]:
            del row["id"]
        if all(self.id_of(row) != self.id_of(other) for other in self.rows):
            self.rows.append(row)

    @initialize(texts=st.lists(st.sampled_from(TEXTS), min_size=2, max_size=5))
    @told
    def begin(self, texts: list[str]) -> None:
        """Begin with some rows."""
        for words in texts:
            self.add(words)

    @rule()
    @told
    def run(self) -> None:
        """Run to the end."""
        self.settle()

    @rule(retries=st.booleans())
    @told
    def run_with_one_attempt(self, retries: bool) -> None:
        """Run to the end with one attempt a job: much of it fails, or is in doubt."""
        self.make_work()
        self.settle(attempts=1, retries=retries)

    @rule()
    @told
    def retry_failed(self) -> None:
        """Buy again what has failed or is in doubt; the better is kept."""
        self.settle(retries=True)

    @rule(which=st.integers(-1, 9))
    @told
    def accept(self, which: int) -> None:
        """Accept what is in doubt, one or all of it: its very bytes are the result, for nothing."""
        if (self.folder / CHECKPOINT).exists():  # not a precondition: it is up to chance
            self.accept_now(which)

    def accept_now(self, which: int = -1) -> None:
        """Accept all that is in doubt, or one of it, and check what became of that."""
        with Checkpoint.read(self.folder) as checkpoint:
            found = [
                (row, kept) for row, kept in checkpoint.rows.stream_outcomes(Status.SUSPECT) if kept
            ]
        if which >= 0 and found:
            found = [found[which % len(found)]]
        asked = [row.id for row, _ in found] if which >= 0 else []
        self.expect_accepted()
        if which < 0 or asked:
            report = batchjobs.accept(self.folder, asked, every=which < 0)
            unlike = tuple(row.id for row, kept in found if not kept.can_become(row.output))
            found = [(row, kept) for row, kept in found if row.id not in unlike]
            names = tuple(row.id for row, _ in found)
            told = report.accepted, report.other_format, report.damaged
            self.hold("what was asked is accepted", holds=told == (names, unlike, ()), why=report)
            self.world.counts["accepted"] += len(names)
        self.hold("accept buys nothing", holds=not self.world.sold() and not self.world.opened)
        self.learn()
        for row, kept in found:
            was = self.accepted[kept.evidence]
            path = self.folder / row.output
            self.hold("it has its place", holds=path.is_file() and row.id in self.current, why=row)
            if path.suffix == Path(was.output).suffix:
                is_same = digest_of(path, 0) == was.sha256
                self.hold("these very bytes are the result", holds=is_same, why=(row, was))
        if which < 0 or asked:
            self.check_kept()
        if found:
            lines = (self.folder / "results.jsonl").read_bytes().splitlines()
            done = {json.loads(line)["id"] for line in lines}
            self.hold("it is told as done", holds={row.id for row, _ in found} <= done, why=done)

    def expect_accepted(self) -> None:
        """From now on what is in doubt may be a result, as it is."""
        for known in self.unsettled.values():
            if known.is_suspect:
                self.accepted[known.evidence] = known

    @rule(milliseconds=st.integers(0, 25))
    @precondition(lambda self: self.kills < 4)
    @told
    def kill_accept(self, milliseconds: int) -> None:
        """Accept all in a process of its own, and kill it some time later."""
        self.kills += 1
        if not any(known.is_suspect for known in self.unsettled.values()):
            return
        self.expect_accepted()
        fork = self.world.forks[0]
        pid = fork.start(self.manifest, self.request_for() | {"command": "accept"})
        time.sleep(milliseconds / 1_000)
        os.kill(pid, signal.SIGKILL)
        killed = fork.wait() < 0
        self.world.counts["accepts killed" if killed else "accepts not killed in time"] += 1
        self.after_a_kill()

    @rule(milliseconds=st.integers(0, 130), attempts=st.sampled_from([1, ATTEMPTS]))
    @precondition(lambda self: self.kills < 4)
    @told
    def kill(self, milliseconds: int, attempts: int) -> None:
        """Run in a process of its own, and kill it some time later."""
        self.kills += 1
        self.make_work()
        self.write()
        fork = self.world.forks[0]
        pid = fork.start(self.manifest, self.request_for(attempts=attempts))
        time.sleep(milliseconds / 1_000)
        os.kill(pid, signal.SIGKILL)
        self.world.counts["killed" if fork.wait() < 0 else "not killed in time"] += 1
        self.after_a_kill()

    @rule(milliseconds=st.integers(0, 90))
    @told
    def cancel(self, milliseconds: int) -> None:
        """Run within somebody's event loop, and cancel it some time later."""
        self.make_work()
        self.write()

        async def cancelled() -> bool:
            with trio.move_on_after(milliseconds / 1_000) as scope:
                await batchjobs.run_async(self.manifest, self.options)
            return scope.cancelled_caught

        with hurried():
            was_cancelled = trio.run(cancelled)
        self.world.counts["cancelled" if was_cancelled else "not cancelled in time"] += 1
        self.after_a_kill()

    @rule(words=st.sampled_from(TEXTS), where=st.integers(0, 9))
    @precondition(lambda self: self.rows)
    @told
    def edit(self, words: str, where: int) -> None:
        """Change a row's text."""
        self.change(where, {"text": words})

    @rule(
        column=st.sampled_from(["voice_id", "take", "output"]),
        value=st.integers(0, 2),
        where=st.integers(0, 9),
    )
    @precondition(lambda self: self.rows)
    @told
    def set_column(self, column: str, value: int, where: int) -> None:
        """Change another column of a row."""
        name = f"mine/{where % len(self.rows)}-{self.names}.{FORMATS[value]}"
        self.names += 1
        values = {"voice_id": VOICES[value], "take": value, "output": name if value < 2 else ""}
        self.change(where, {column: values[column]})

    def change(self, where: int, columns: dict[str, object]) -> None:
        """Change a row, unless that makes it another's double."""
        place = where % len(self.rows)
        row = self.rows[place] | columns
        others = self.rows[:place] + self.rows[place + 1 :]
        if all(self.id_of(row) != self.id_of(other) for other in others):
            self.rows[place] = row

    @rule(words=st.sampled_from((*TEXTS, BLANK)), first=st.booleans(), named=st.booleans())
    @precondition(lambda self: len(self.rows) < 9)
    @told
    def add_row(self, words: str, first: bool, named: bool) -> None:
        """Add a row before all others or behind them, perhaps without an id, perhaps a bad one."""
        before = len(self.rows)
        self.add(words, **({} if named else {"id": ""}))
        if first and len(self.rows) > before:
            self.rows.insert(0, self.rows.pop())

    @rule(where=st.integers(0, 9))
    @precondition(lambda self: len(self.good_rows) > 1)
    @told
    def remove_row(self, where: int) -> None:
        """Take a row out."""
        place = where % len(self.rows)
        if self.rows[place]["text"] == BLANK or len(self.good_rows) > 1:
            del self.rows[place]

    @rule(where=st.integers(0, 9))
    @precondition(lambda self: self.rows and len(self.rows) < 9)
    @told
    def duplicate(self, where: int) -> None:
        """Ask the same once more under another id."""
        row = dict(self.rows[where % len(self.rows)])
        row.pop("id", None)
        row.pop("output", None)
        self.add(str(row.pop("text")), **row)

    @rule(order=st.randoms(use_true_random=False))
    @told
    def reorder(self, order: random.Random) -> None:
        """Shuffle the rows."""
        order.shuffle(self.rows)

    @rule(name=st.sampled_from(FORMATS))
    @told
    def change_format(self, name: str) -> None:
        """Ask for other files."""
        self.format = name

    @rule(voice=st.sampled_from(VOICES[1:]))
    @told
    def change_voice(self, voice: str) -> None:
        """Ask for another voice."""
        self.voice = voice

    @rule(where=st.integers(0, 9), how=st.sampled_from(["delete", "cut", "grow", "flip", "empty"]))
    @told
    def damage_output(self, where: int, how: str) -> None:
        """Delete or damage a finished job's file; a flipped byte is for `verify` to find."""
        outputs = sorted({held.output for held in self.held})
        if not outputs:  # not a precondition: what was committed before a kill is up to chance
            return
        path = self.folder / outputs[where % len(outputs)]
        if not path.is_file():
            return
        content = path.read_bytes()
        self.world.counts[f"outputs damaged: {how}"] += 1
        match how:
            case "delete":
                path.unlink()
            case "cut":
                path.write_bytes(content[: len(content) // 2])
            case "grow":
                path.write_bytes(content + b"\0\0")
            case "empty":
                path.write_bytes(b"")
            case _:
                middle = len(content) // 2
                changed = bytes([content[middle] ^ 0x5A]) if content else b""
                path.write_bytes(content[:middle] + changed + content[middle + 1 :])

    @rule(at_end=st.booleans())
    @told
    def run_twice_at_once(self, at_end: bool) -> None:
        """While a run goes on, a second one is refused at once, and opens no session."""
        refused: list[bool] = []

        def intrude(event: Event) -> None:
            if refused and not at_end:
                return
            try:
                batchjobs.run(self.manifest, self.options)
            except RunLockedError:  # and at once: the run that it might wait for waits for this
                refused.append(True)
            except BaseException:  # the observer's own failures are kept from the run
                refused.append(False)

        self.settle(intrude)
        self.world.counts["second runs refused"] += len(refused)
        self.hold(
            "a second run is refused at once", holds=bool(refused) and all(refused), why=refused
        )

    @rule()
    @told
    def start_two_processes(self) -> None:
        """Two processes begin at the same time: together they buy what is missing once."""
        self.write()
        least, most = self.purchases(), self.purchases(most=True)
        for fork in self.world.forks:
            fork.start(self.manifest, self.request_for())
        codes = sorted(fork.wait() for fork in self.world.forks)
        self.world.counts["pairs of processes"] += 1
        self.compare(least, most)
        self.learn()
        good = int(len(self.good_rows) < len(self.rows) or bool(self.open_rows))
        self.hold("one runs", holds=good in codes and {*codes} <= {good, 75}, why=codes)

    @rule(
        after=st.integers(0, 3), share=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "drop"])
    )
    @told
    def damage_copied_log(self, after: int, share: float, how: str) -> None:
        """Copy the folder in mid-run, damage the copy's log, and run it: right, or refused."""
        copy = self.place / "copies" / str(self.copies)
        self.copies += 1
        finished = 0

        def snap(event: Event) -> None:
            nonlocal finished
            if isinstance(event, JobFinished):
                finished += 1
                if finished == after + 1:
                    shutil.copytree(self.folder, copy)

        self.settle(snap)
        log = copy / f"{CHECKPOINT}-wal"
        if not log.exists() or not log.stat().st_size:
            return
        content = bytearray(log.read_bytes())
        place = min(int(share * len(content)), len(content) - 1)
        match how:
            case "cut":
                log.write_bytes(content[:place])
            case "flip":
                content[place] ^= 0xFF
                log.write_bytes(content)
            case _:
                log.unlink()
        options = self.options
        try:
            with hurried():
                report = batchjobs.run(self.manifest, replace(options, output=copy))
        except (DiskError, OutputError) as error:
            self.world.counts[f"damaged logs: refused with {error.exit_code}"] += 1
        else:
            self.world.counts["damaged logs: continued"] += 1
            self.hold(
                "it ends", holds=report.exit_code in {0, 1} and report.error is None, why=report
            )
            with Checkpoint.read(copy) as checkpoint:
                outcomes = checkpoint.rows.find_outcomes(
                    [self.id_of(row) for row in self.good_rows]
                )
            for row in self.good_rows:
                record = outcomes[self.id_of(row)][1]
                assert record is not None
                if record.status is not Status.DONE or record.evidence in self.accepted:
                    continue
                words = heard(copy / self.place_of(row))
                silent = self.id_of(row) in self.silently_damaged()
                self.hold(
                    "the copy is right", holds=words == row["text"] or silent, why=(row, words)
                )
        self.world.sold()

    def teardown(self) -> None:
        """Run to the end; a run after that buys nothing."""
        try:
            if self.rows:
                self.settle()
                if self.distrusted:  # what `verify` has found changed is made again
                    self.settle()
                self.hold("nothing is missing", holds=not self.purchases())
                self.settle()
                self.accept_now()
                self.settle(retries=True)  # what has failed for good, or is of the wrong format
                self.accept_now()
                self.hold("nothing is in doubt for ever", holds=not self.open_rows)
                asked = [held for held in self.held if self.is_asked_for(held)]
                changed = [held for held in asked if not self.stands(held, exactly=True)]
                self.hold("all files are as they were", holds=not changed, why=changed)
        finally:
            shutil.rmtree(self.place, ignore_errors=True)


def machine_settings(examples: int, steps: int) -> settings:
    """Settings of so many examples of at most so many steps.

    Nothing is shrunk: a kill strikes elsewhere the next time, and then all that shrinks is luck.
    """
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def live(world: World, examples: int, *, number: int, steps: int = 8) -> None:
    """Live through so many examples; the number decides which.

    Raises:
        AssertionError: An invariant broke; `World.breaches` has it with all steps.
        Flaky: One broke that did not the next time, when a kill struck elsewhere.
    """
    machine = cast("type[RunFolder]", functools.partial(RunFolder, world))  # it is only called
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "global_force_seed", number)  # as --hypothesis-seed does
        run_state_machine_as_test(machine, settings=machine_settings(examples, steps))


def main() -> int:
    """Run examples until the time is over; print what was done and found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    from tests.faults.crash import commit_id

    print(f"seed {given.seed}, commit {commit_id()}", flush=True)
    began = time.monotonic()
    number = 0
    failures = 0
    with tempfile.TemporaryDirectory() as name, world_of(Path(name), *FAULTS) as world:
        while time.monotonic() - began < given.seconds:
            try:
                live(world, 20, number=given.seed + number, steps=12)
            except Exception as error:
                failures += 1
                found = world.breaches[:1] or traceback.format_exception(error)
                print(f"seed {given.seed + number}: {''.join(found)}", flush=True)
                world.breaches.clear()
            number += 1
            if number % 50 == 0:
                elapsed = time.monotonic() - began
                print(f"{world.counts['examples']:,} sequences in {elapsed:.0f} s", flush=True)
        for what, count in sorted(world.counts.items()):
            print(f"{count:>8,}  {what}")
    print(f"{failures} of {number} series of 20 failed in {time.monotonic() - began:.0f} s")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
