"""Whether a check names what is wrong with 1,000 clips, and buys no good one again, also under kills.

    python -m tests.proofs.check [tone] [espeak] [kills] [cost] [--clips 1000] [--kills 10]

`tone`: Arabic prose by the tone engine, which hears exactly what it spoke; 20 clips of it are cut, repeat
a clause, say something else, have three seconds of a minute garbled, or are silent. `espeak`: English by
espeak-ng, heard by pocketsphinx through a grammar of the sentences; of its 20, some are spoken by
another voice. Both are checked, and what is bad is bought again under a budget, by the command line.
Bounds: all 20 named, at most 5 good ones bought again, the budget kept, nothing bad left.

`kills`: `tone` once more, the command killed ten times while it hears, buys and puts takes in their
places. Bounds: the same, and no session of what was already had, by the ledgers of both sides: at most
those that a kill struck are there twice.

`cost`: 10,000 clips; processor time a clip of the command, without the server that hears. Bound: 3 ms for all
but the transcription's own run.
"""

import argparse
import contextlib
import functools
import itertools
import json
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

import batchjobs
from batchjobs import Defaults, Options
from batchjobs.files.run_folder import CHECK, CHECKPOINT, TAKES
from batchjobs.server.app import serve
from batchjobs.server.engines.espeak import EspeakSynthesiser
from batchjobs.server.engines.interface import Synthesiser
from batchjobs.server.engines.sphinx import SphinxRecogniser
from batchjobs.server.engines.tone import ToneSynthesiser
from batchjobs.server.settings import ServerSettings
from tests.canary import KEY
from tests.planted import FAULTS, choose_faults, make_texts, plant, say_with_fault
from tests.whole_runs import environment, ledger_of, results, run_server

RATE = 16_000
PLANTED = 20
GOOD_BOUGHT_AT_MOST = 5
MOST_MILLISECONDS = 3.0
CONCURRENCY = 8
LONG_WORDS = (110, 130)
"""About a minute, at the tone engine's 14 letters a second."""
PRICES = """
[providers.local]
tts_price_per_million_characters = 100.0
stt_price_per_hour = 1.0
"""
SENTENCES = (
    "please open the door for the children",
    "the weather is nice in the morning today",
    "the quick brown fox jumps over the lazy dog",
    "where is the nearest railway station please",
    "we bought seven apples and a loaf of bread",
    "my brother works in a hospital near the river",
    "she never forgets to water the flowers",
    "the old teacher told us a story about the sea",
    "many people travel to the mountains every summer",
    "the second question was harder than the first",
    "our neighbors have painted their house yellow",
    "the train to the city leaves at eleven",
)
VOICE, OTHER_VOICE = "en-male", "en-female"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One run to be checked: its rows, what is wrong with some, and who says it."""

    name: str
    rows: Sequence[dict[str, str]]
    planted: dict[str, str]
    speaker: Synthesiser

    @property
    def texts(self) -> dict[str, str]:
        """The texts by id."""
        return {row["id"]: row["text"] for row in self.rows}


def tone_course(clips: int) -> Course:
    """Arabic prose, a few clips of it a minute long: those are garbled."""
    kinds = [FAULTS[place % len(FAULTS)] for place in range(PLANTED)]
    texts = make_texts(clips, seed=11)
    long = make_texts(8, seed=12, words=LONG_WORDS)
    rows = [{"id": f"كتاب {place}", "text": text} for place, text in enumerate(texts)]
    planted = dict(
        choose_faults([row["id"] for row in rows[8:]], [k for k in kinds if k != "garbled"])
    )
    for row, text in zip(rows, long, strict=False):
        row["text"] = text
    garbled = [row["id"] for row in rows[:8:2]]
    return Course(
        name="tone",
        rows=rows,
        planted=planted | dict.fromkeys(garbled, "garbled"),
        speaker=ToneSynthesiser(),
    )


def espeak_course(clips: int) -> Course:
    """Sentences that the recogniser's grammar knows, three or four a clip."""
    dice = random.Random(5)
    faults = (*FAULTS, "voice")
    kinds = [faults[place % len(faults)] for place in range(PLANTED)]
    rows = [
        {
            "id": f"clip-{place}",
            "text": ". ".join(dice.sample(SENTENCES, dice.choice((3, 3, 4)))).capitalize() + ".",
            "voice_id": VOICE,
        }
        for place in range(clips)
    ]
    planted = dict(choose_faults([row["id"] for row in rows], kinds))
    return Course(name="espeak", rows=rows, planted=planted, speaker=EspeakSynthesiser())


def plant_faults(folder: Path, course: Course) -> None:
    """Put what is wrong in the place of what was right."""
    texts, clips = course.texts, {}
    for name, fault in course.planted.items():
        other = texts[next(n for n in texts if n not in course.planted and n != name)]
        say = functools.partial(
            say_with_fault, other=other, rate=RATE, voice=VOICE, wrong_voice=OTHER_VOICE
        )
        clips[name] = (say(fault, texts[name], course.speaker), RATE)
    plant(folder, clips)


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Write a manifest of rows."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def command(base_url: str, *more: object) -> list[str]:
    """The command that checks and buys again."""
    return [
        *(sys.executable, "-m", "batchjobs", "check", "run", "--base-url", base_url),
        *("-c", str(CONCURRENCY), "--regenerate", "2", *map(str, more)),
    ]


def make_run(home: Path, course: Course, base_url: str) -> None:
    """Run a course, and plant what is wrong."""
    (home / "batchjobs.toml").write_text(PRICES, encoding="utf-8")
    write_rows(home / "rows.jsonl", course.rows)
    spoken = [
        *(sys.executable, "-m", "batchjobs", "run", "rows.jsonl", "-o", "run", "-q"),
        *("--base-url", base_url, "--output-format", f"pcm_{RATE}", "-c", str(CONCURRENCY)),
    ]
    subprocess.run(spoken, cwd=home, env=environment(BATCHJOBS_LOCAL_KEY=KEY), check=True)
    plant_faults(home / "run", course)


def check_course(home: Path, course: Course, base_url: str, kills: int = 0) -> list[str]:
    """Check a course and buy again what is bad; gives what is wrong with that."""
    make_run(home, course, base_url)
    folder = home / "run"
    seconds = sum(line["audio_seconds"] for line in results(folder))
    budget = seconds / 3_600 * 1.2 + 0.5
    began = time.monotonic()
    once = command(base_url, "--budget", round(budget, 4), "-q", "--attempts", 9)
    struck = kill_again_and_again(once, home, kills)
    looked = subprocess.run(once, cwd=home, env=environment(BATCHJOBS_LOCAL_KEY=KEY), check=False)
    took = time.monotonic() - began
    bought = bought_again(folder)
    named = find_named(folder)
    missed = set(course.planted) - named
    good = bought - set(course.planted)
    found = batchjobs.status(folder, config_file=home / "batchjobs.toml")
    spent = sum(found.check_spent.values()) + sum(found.quality_spent.values())
    print(
        f"{course.name}: {len(course.rows):,} clips, {seconds / 3600:.1f} h, in {took:.0f} s with {struck}"
        f" kills; named {len(named & set(course.planted))} of {len(course.planted)}, missed"
        f" {sorted((course.planted[n], n) for n in missed)}; bought again {len(bought)}, of them good"
        f" {len(good)}; spent {spent:.4f} of {budget:.4f} USD;"
        f" now {found.checks}; exit code {looked.returncode}"
    )
    wrong = []
    if missed:
        wrong.append(f"not named: {missed}")
    if len(good) > GOOD_BOUGHT_AT_MOST:
        wrong.append(f"good ones bought again: {good}")
    if spent > budget:
        wrong.append("the budget was not kept")
    if looked.returncode or found.checks.get("bad"):
        wrong.append("something bad is left")
    if batchjobs.verify(folder).wrong:
        wrong.append("files are not as the checkpoint has them")
    speech = Defaults(output_format=f"pcm_{RATE}")
    plan = batchjobs.plan(home / "rows.jsonl", Options(output=folder, speech=speech))
    if plan.to_do:
        wrong.append(f"the run would do {plan.to_do} rows again")
    return wrong


def find_named(folder: Path) -> set[str]:
    """The rows of which the check said, at first, that they are bad."""
    with contextlib.closing(sqlite3.connect(folder / CHECKPOINT)) as database:
        query = "SELECT id FROM checks WHERE take = 0 AND verdict = 'bad'"
        return {row[0] for row in database.execute(query)}


def bought_again(folder: Path) -> set[str]:
    """The rows for which takes were bought."""
    with contextlib.closing(sqlite3.connect(folder / TAKES / CHECKPOINT)) as database:
        query = "SELECT DISTINCT job FROM attempts WHERE characters > 0"
        return {row[0].rpartition(".take")[0] for row in database.execute(query)}


def kill_again_and_again(words: list[str], home: Path, kills: int) -> int:
    """Kill the command so often, each time after it has done some more; gives how often it was."""
    dice = random.Random(3)
    folders = [home / "run" / name for name in (CHECK, TAKES)]
    struck = 0
    while struck < kills:
        process = subprocess.Popen(words, cwd=home, env=environment(BATCHJOBS_LOCAL_KEY=KEY))
        before = [count_done(folder) for folder in folders]
        # Most of them while it hears; the last while it buys, hears takes and puts them in their places.
        is_late = struck >= kills // 2
        wanted = dice.randrange(1, 6) if is_late else dice.randrange(20, 150)
        while process.poll() is None:
            after = [count_done(folder) for folder in folders]
            grown = after[1] - before[1] if is_late else sum(after) - sum(before)
            if grown >= wanted or (is_late and after[1] and dice.random() < 0.02):
                break
            time.sleep(0.01)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        struck += 1
    return struck


def count_done(folder: Path) -> int:
    """How many jobs of a run are done."""
    with contextlib.suppress(sqlite3.Error):
        uri = f"file:{folder / CHECKPOINT}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM jobs").fetchone()[0])
    return 0


def count_twice(folder: Path) -> tuple[int, int]:
    """How many keys have more than one session that led to a result, and how many sessions were lost."""
    with contextlib.closing(sqlite3.connect(folder / CHECKPOINT)) as database:
        twice = database.execute(
            "SELECT count(*) FROM (SELECT key FROM attempts WHERE result = 'done'"
            " GROUP BY key HAVING count(*) > 1)"
        ).fetchone()[0]
        lost = database.execute("SELECT count(*) FROM attempts WHERE result = 'lost'").fetchone()[0]
        return int(twice), int(lost)


def check_ledgers(home: Path, ledger: Path) -> list[str]:
    """Hold the server's ledger against both runs' own."""
    wrong, lost = [], 0
    for name in (CHECK, TAKES):
        twice, struck = count_twice(home / "run" / name)
        lost += struck
        if twice:
            wrong.append(f"{twice} of {name} led to a result twice")
    ends = [line for line in ledger_of(ledger) if line["event"] == "end" and line["complete"]]
    heard = Counter(line["audio_sha256"] for line in ends if line["kind"] == "stt")
    repeated = sum(count - 1 for count in heard.values())
    silent = sum(1 for count in heard.values() if count > 2)
    print(
        f"ledger: {sum(heard.values()):,} clips heard, {repeated} of them again; {lost} sessions lost to kills"
    )
    if repeated > lost + 4 * silent + 8:
        wrong.append(f"{repeated} clips were heard again, and only {lost} sessions were lost")
    return wrong


@contextlib.contextmanager
def serve_espeak(home: Path) -> Iterator[str]:
    """Serve espeak and pocketsphinx with a grammar, in a thread."""
    found: list[str] = []
    ready = threading.Event()
    scope = trio.CancelScope()
    speaker, recogniser = EspeakSynthesiser(), SphinxRecogniser(grammar=SENTENCES)
    # Several of them to an utterance: espeak's pauses between sentences are shorter than that.
    choices = " | ".join(SENTENCES)
    recogniser._grammar = recogniser._grammar.replace(choices, f"( {choices} )+")
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        settings = ServerSettings(token=KEY, session_limit=64, ledger=home / "ledger")
        with scope:
            async with trio.open_nursery() as nursery:
                start = functools.partial(
                    serve, settings, synthesiser=speaker, recogniser=recogniser
                )
                found.append(
                    await nursery.start(lambda task_status: start(task_status=task_status))
                )
                ready.set()

    thread = threading.Thread(target=lambda: trio.run(main))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        tokens[0].run_sync_soon(scope.cancel)
        thread.join()
        recogniser.close()
        speaker.close()


def prove_tone(clips: int, kills: int = 0) -> list[str]:
    """Check the tone engine's clips."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ledger = home / "ledger"
        with run_server(home, "--engine", "tone", "--ledger", ledger, "--session-limit", 64) as url:
            wrong = check_course(home, tone_course(clips), url, kills)
            return wrong + check_ledgers(home, ledger)


def prove_espeak(clips: int) -> list[str]:
    """Check espeak's clips, heard through a grammar."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with serve_espeak(home) as url:
            return check_course(home, espeak_course(clips), url)


def prove_cost(clips: int) -> list[str]:
    """Measure what a check costs beside the recogniser."""
    texts = make_texts(clips, seed=3, words=(6, 12))
    rows = [{"id": f"r{place}", "text": text} for place, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        options = Options(
            output=folder, engine="tone", speech=Defaults(output_format=f"pcm_{RATE}")
        )
        report = batchjobs.run(rows, options)
        seconds = report.summary.audio_seconds / clips
        heard, _ = measure(lambda: batchjobs.check(folder))
        again, _ = measure(lambda: batchjobs.check(folder))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"cost: {clips:,} clips of {seconds:.1f} s: {heard / clips * 1e3:.2f} ms of processor time a clip"
        f" with the transcription's own run, {again / clips * 1e3:.2f} ms without; peak {memory:.0f} MiB"
    )
    is_slow = again / clips * 1e3 > MOST_MILLISECONDS
    return ["a check costs more than its bound"] if is_slow else []


def measure(act: Callable[[], object]) -> tuple[float, float]:
    """Measure processor time, of this process alone, and time."""
    cpu, began = time.process_time(), time.monotonic()
    act()
    return time.process_time() - cpu, time.monotonic() - began


def main() -> int:
    """Prove what was asked for; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["tone", "espeak", "kills", "cost"])
    parser.add_argument("--clips", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    proofs = {
        "tone": lambda: prove_tone(given.clips),
        "espeak": lambda: prove_espeak(given.clips),
        "kills": lambda: prove_tone(given.clips, given.kills),
        "cost": lambda: prove_cost(10 * given.clips),
    }
    wrong = list(itertools.chain.from_iterable(proofs[part]() for part in given.parts))
    for line in wrong:
        print(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
