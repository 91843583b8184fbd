"""A whole book from EPUB to M4B, killed five times on the way; prints what it saw.

    python tests/proofs/audiobook.py

Carroll's Alice and a chapter of Kalila wa-Dimna, 144,844 characters: spoken by espeak and bound, and
once more by the tone engine, whose sound says what was spoken. The test suite holds a smaller form.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import mutagen  # noqa: E402

from batchjobs.audio import decoding  # noqa: E402
from batchjobs.files.run_folder import CHECKPOINT  # noqa: E402
from batchjobs.outputs.reports import read_results  # noqa: E402
from batchjobs.server.engines.tone import ToneRecogniser  # noqa: E402
from tests.books import alice, chapter_text, kalila, write_epub  # noqa: E402
from tests.canary import KEY  # noqa: E402
from tests.whole_runs import batchjobs, environment, ledger_of, run_server  # noqa: E402

CONCURRENCY = 8


def killed_and_continued(
    home: Path, base_url: str, kills: int, dice: random.Random, *more: object
) -> int:
    """Run the book's manifest, kill it so often in mid-work, and let it end; gives the kills."""
    command = [sys.executable, "-m", "batchjobs", "run", "book.jsonl", "--base-url", base_url]
    # Five kills may strike one session five times: by default that sets it aside as a crasher.
    command += ["-c", str(CONCURRENCY), "-q", "--attempts", "9", *map(str, more)]
    struck = 0
    while struck < kills:
        process = subprocess.Popen(command, cwd=home, env=environment(BATCHJOBS_LOCAL_KEY=KEY))
        segments = home / "outputs" / "book" / "segments"
        before = held(segments)
        wanted = dice.randrange(2, 8)
        while process.poll() is None and abs(held(segments) - before) < wanted:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        struck += 1
    done = subprocess.run(command, cwd=home, env=environment(BATCHJOBS_LOCAL_KEY=KEY), check=False)
    assert done.returncode == 0, done.returncode
    return struck


def held(segments: Path) -> int:
    """How many finished segments stand in files of their own."""
    try:
        names = [path.name for path in segments.iterdir()]
    except FileNotFoundError:
        return 0
    return sum(name.endswith(".wav") and name[0] != "." for name in names)


def bought_twice(home: Path) -> int:
    """How many segments have more than one session that led to a result."""
    import sqlite3
    from contextlib import closing

    query = """SELECT count(*) FROM (SELECT key FROM attempts WHERE result = 'done'
               GROUP BY key HAVING count(*) > 1)"""
    with closing(sqlite3.connect(home / "outputs" / "book" / CHECKPOINT)) as database:
        return int(database.execute(query).fetchone()[0])


def heard(path: Path) -> str:
    """What the tone engine's recogniser hears in a file."""
    stream = ToneRecogniser().start()
    text = ""
    for chunk in decoding.pcm_chunks(path, sample_rate=16_000, chunk_seconds=10.0):
        text = stream.accept(chunk, 16_000)
    return text


def proven(home: Path, chapters: Sequence[tuple[str, list[str]]], kills: int, seed: int) -> str:
    """Make the book twice; gives a line with figures.

    Raises:
        AssertionError: Something is not as it should be.
    """
    dice = random.Random(seed)
    write_epub(home / "alice.epub", chapters)
    batchjobs("book", "alice.epub", "-o", "book.jsonl", cwd=home)
    texts = [chapter_text(*chapter) for chapter in chapters]
    figures = []
    for engine in ("espeak", "tone"):
        ledger = home / f"{engine}.ledger"
        with run_server(home, "--engine", engine, "--ledger", ledger) as base_url:
            struck = killed_and_continued(home, base_url, kills, dice)
        sessions = Counter(
            str(line["text_sha256"]) for line in ledger_of(ledger) if line.get("text_sha256")
        )
        assert bought_twice(home) == 0
        repeated = sum(count - 1 for count in sessions.values())
        assert repeated <= struck * CONCURRENCY, repeated
        assert not (home / "outputs" / "book" / "segments").exists()
        assert batchjobs("verify", "outputs/book", cwd=home).returncode == 0
        figures.append(f"{engine}: {len(sessions)} segments, {struck} kills, {repeated} repeated")
        rows = list(read_results(home / "outputs" / "book"))
        assert [row["text"] for row in rows] == texts
        if engine == "tone":
            for row, text in zip(rows, texts, strict=True):
                assert heard(home / "outputs" / "book" / str(row["output"])) == text
            continue
        batchjobs("bind", "outputs/book", "-o", "book.m4b", cwd=home)
        book = mutagen.File(home / "book.m4b")
        starts, at = [], 0.0
        for row in rows:
            starts.append(at)
            at += int(str(row["frames"])) / int(str(row["sample_rate"])) + 2.0
        assert [mark.title for mark in book.chapters] == [title for title, _ in chapters]
        off = max(abs(m.start - s) for m, s in zip(book.chapters, starts, strict=True))
        assert off < 0.001, off
        assert abs(book.info.length - (at - 2.0)) < 0.1
        figures.append(f"{book.info.length / 3_600:.2f} h bound, marks off by {off * 1_000:.3f} ms")
        for path in (home / "outputs").rglob("*"):
            if path.is_file():
                path.unlink()
    return "; ".join(figures)


def main() -> int:
    """Prove it with the whole book."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20261121)
    given = parser.parse_args()
    chapters = [*alice(), kalila()]
    characters = sum(len(chapter_text(*chapter)) for chapter in chapters)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        shown = proven(Path(name), chapters, 5, given.seed)
    print(
        f"{characters:,} characters, seed {given.seed}: {shown}; {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
