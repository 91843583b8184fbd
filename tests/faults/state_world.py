"""Where run folders live: a server with faults, processes that run them, and what is known of files."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchjobs.api import execute
from batchjobs.audio import decoding
from batchjobs.errors import RecordingError
from batchjobs.jobs import Evidence
from batchjobs.server.engines.tone import ToneRecogniser
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.faults.bench import knock
from tests.faults.zygote import hurried_policy
from tests.recordings import read_pcm
from tests.whole_runs import run_server

__all__ = [
    "ATTEMPTS",
    "BLANK",
    "CONCURRENCY",
    "DOUBTFUL",
    "FAULTS",
    "FORMATS",
    "LOSSLESS",
    "TEXTS",
    "VOICES",
    "Fork",
    "Held",
    "Unsettled",
    "World",
    "digest_of",
    "hear_tones",
    "hurry_retries",
    "world_of",
]

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
        with run_server(root, "--engine", "tone", "--ledger", ledger, *arguments) as base_url:
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
def hurry_retries() -> Iterator[None]:
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


def hear_tones(path: Path) -> str:
    """Give the text that a file's tones carry."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in _HEARD:
        try:
            _, rate = decoding.measure(path)
            _HEARD[digest] = ToneRecogniser().start().accept(read_pcm(path), rate)
        except RecordingError:
            _HEARD[digest] = ""
    return _HEARD[digest]
