"""Generated bad input for as long as one likes: no crash, no row lost, nothing changed on the way.

    python -m tests.faults.generate --seconds 300 --seed 1

Each kind of input has a generator and a judge of its own; the table says how many of each there
were, how many were refused, and what was found. The same seed gives the same inputs.
"""

import argparse
import csv
import io
import itertools
import json
import random
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from batchjobs import text
from batchjobs.audio import decoding
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import BatchjobsError, ManifestError, RecordingError, SessionError
from batchjobs.files.paths import path_inside
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults
from batchjobs.protocol.parsing import parse_stt_reply, parse_tts_reply
from batchjobs.protocol.stt import SttClient
from batchjobs.protocol.tts import TtsClient
from batchjobs.providers import BUILT_IN
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from tests.builders import READY, LenientJudge, make_speech
from tests.faults import corpus_messages, corpus_recordings, corpus_texts
from tests.faults.corpus_manifests import MANIFESTS
from tests.faults.generate_words import LETTERS, MARKS, Wrong, damaged, words_of

__all__ = ["KINDS", "generate_inputs"]


def rows_in(content: bytes, name: str, folder: Path) -> list[Job | BadRow]:
    """Read a manifest that lies in a file."""
    path = folder / name
    path.write_bytes(content)
    return list(read_rows(path, name=name, folder=folder, providers=BUILT_IN, defaults=Defaults()))


# -- kinds: each makes one input, judges what becomes of it, and says if it was refused -----------


def csv_cells(dice: random.Random, folder: Path) -> bool:
    """Cells of anything, written by the csv module: each row comes back, its text as it was."""
    file = io.StringIO(newline="")
    # With other line ends Python 3.11 leaves a lone \r without quotes, and that ends a line.
    ways: tuple[Literal[0, 1], ...] = (csv.QUOTE_ALL, csv.QUOTE_MINIMAL)
    writer = csv.writer(file, lineterminator="\r\n", quoting=dice.choice(ways))
    writer.writerow(["id", "text", "note"])
    rows = [
        (f"r{n}", words_of(dice).replace("\0", ""), words_of(dice, 9).replace("\0", ""))
        for n in range(dice.randint(1, 9))
    ]
    writer.writerows(rows)
    found = rows_in(file.getvalue().encode("utf-8"), "g.csv", folder)
    if len(found) != len(rows):
        raise Wrong(f"{len(found)} of {len(rows)} rows")
    for row, (name, words, note) in zip(found, rows, strict=True):
        if row.id != name or row.row["note"] != note or row.row["text"] != words:
            raise Wrong(f"{row} is not {name} {words!r} {note!r}")
        if isinstance(row, Job) and row.text != words:
            raise Wrong(f"{row.text!r} is not {words!r}")
    return any(isinstance(row, BadRow) for row in found)


def csv_quotes(dice: random.Random, folder: Path) -> bool:
    """One to three stray quotes in plain CSV: refused, or every row is accounted for."""
    count = dice.randint(2, 30)
    lines = [f"r{n},{dice.choice(LETTERS)} some text {n},v{n}" for n in range(count)]
    for _ in range(dice.randint(1, 3)):
        line = dice.randrange(count)
        cells = lines[line].split(",")
        cell = dice.randrange(len(cells))
        cells[cell] = dice.choice(
            (f'"{cells[cell]}', f'{cells[cell]}"', f'{cells[cell][:1]}"{cells[cell][1:]}')
        )
        lines[line] = ",".join(cells)
    content = "id,text,voice_id\n" + "\n".join(lines) + "\n"
    found = rows_in(content.encode(), "g.csv", folder)
    if len(found) != count:
        raise Wrong(f"{len(found)} of {count} rows: {content!r}")
    return any(isinstance(row, BadRow) for row in found)


def jsonl_lines(dice: random.Random, folder: Path) -> bool:
    """Damaged JSON Lines: as many rows and bad rows as there are lines."""
    rows = [
        {"id": dice.choice(("a", 1, None, words_of(dice, 5))), "text": words_of(dice), "speed": 1.0}
        for _ in range(dice.randint(1, 6))
    ]
    ascii_only = dice.random() < 0.5
    content = b"\n".join(json.dumps(row, ensure_ascii=ascii_only).encode() for row in rows) + b"\n"
    if dice.random() < 0.8:
        content = damaged(dice, content)
    lines = [line for line in content.split(b"\n") if line.decode("utf-8", "replace").strip()]
    found = rows_in(content, "g.jsonl", folder)
    if len(found) != len(lines):
        raise Wrong(f"{len(found)} of {len(lines)} lines: {content!r}")
    return any(isinstance(row, BadRow) for row in found)


def manifests(dice: random.Random, folder: Path) -> bool:
    """Damaged manifests of the corpus: rows or an error of ours."""
    case = dice.choice(SMALL_MANIFESTS)
    found = rows_in(damaged(dice, case.content), case.file, folder)
    return any(isinstance(row, BadRow) for row in found)


SMALL_MANIFESTS = tuple(case for case in MANIFESTS if len(case.content) < 5_000)


def names(dice: random.Random, folder: Path) -> bool:
    """Ids of anything: two different ids have two different names, which stay inside."""
    one = words_of(dice, 120 if dice.random() < 0.2 else 12)
    other = dice.choice(
        (unicodedata.normalize("NFC", one), one + dice.choice(MARKS), words_of(dice, 12))
    )
    stems = text.file_stem(one), text.file_stem(other)
    if (one == other) != (stems[0] == stems[1]):
        raise Wrong(f"{one!r} and {other!r} are {stems}")
    for stem in stems:
        path = path_inside(folder, f"{stem}.wav")
        if path.parent != folder.resolve() or len(stem.encode()) > 100:
            raise Wrong(f"{stem!r} is no name")
    return False


def texts(dice: random.Random, folder: Path) -> bool:
    """Texts of anything: the messages joined are the text, none is blank that need not be."""
    words = words_of(dice, 900 if dice.random() < 0.1 else 80)
    if dice.random() < 0.2:
        words = dice.choice(corpus_texts.SPOKEN) + words
    limit = dice.choice((1, 2, 7, 40, 500))
    pieces = text.split_messages(words, limit_characters=limit)
    if "".join(pieces) != words or "".join(text.split_sentences(words)) != words:
        raise Wrong(f"{words!r} is sent as {pieces}")
    return False


def tones(dice: random.Random, folder: Path) -> bool:
    """Texts through the tone engine: what is heard is what was said."""
    words = words_of(dice, 30)
    rate = dice.choice((8_000, 16_000, 22_050, 24_000))
    settings = make_speech(rate)
    pcm = b"".join(ToneSynthesiser().synthesise(words, settings))
    heard = ToneRecogniser().start().accept(pcm, rate)
    if heard != words:
        raise Wrong(f"{heard!r} is not {words!r}")
    return False


def recordings(dice: random.Random, folder: Path) -> bool:
    """Damaged recordings: refused, or as much audio as their header says."""
    path = folder / "recording"
    content = dice.choice(corpus_recordings.RECORDINGS).content
    place = dice.randrange(0, max(1, len(content)))
    head = damaged(dice, content[:64], dice.choice((1, 1, 3)))
    path.write_bytes(head + content[64:] if dice.random() < 0.7 else damaged(dice, content[:place]))
    found = decoding.probe(path)
    frames = sum(
        len(c) // 2 for c in decoding.pcm_chunks(path, sample_rate=16_000, chunk_seconds=0.5)
    )
    expected = found.seconds * 16_000
    # A decoder of MP3 may hold a frame or two back; all other lengths are exact.
    if abs(frames - expected) > (
        2_400 * 16_000 / found.sample_rate if found.container == "mp3" else 2
    ):
        raise Wrong(f"{found}: {frames} frames, not {expected:.0f}; {path.read_bytes()[:80]!r}")
    return False


def message_of(dice: random.Random, cases: tuple[corpus_messages.MessageCase, ...]) -> str | bytes:
    """Take a message of the corpus, whole or damaged, as text or as bytes."""
    payload = dice.choice(cases).payload
    raw = payload if isinstance(payload, bytes) else payload.encode()
    if dice.random() < 0.35:
        raw = damaged(dice, raw[:2_000])
    return raw if dice.random() < 0.3 else raw.decode("utf-8", "replace")


def tts_messages(dice: random.Random, folder: Path) -> bool:
    """A synthesis between damaged messages: done, failed by a class, or still waiting."""
    client = TtsClient(
        texts=["نص", "آخر"],
        speech=make_speech(),
        provider=BUILT_IN["munsit"],
        key="k",
        judge=LenientJudge(),
        sink=ReceivedAudio(),
        now=0.0,
    )
    now = 0.0
    said: list[str | bytes] = [READY] if dice.random() < 0.9 else []
    said += [message_of(dice, corpus_messages.TTS) for _ in range(dice.randint(1, 4))]
    for message in said:
        while client.next_payload() is not None:
            client.note_sent(now)
        client.receive(message, now)
        now += dice.random()
        client.wake(now)
    return ended(client, parse_tts_reply, said, now)


def stt_messages(dice: random.Random, folder: Path) -> bool:
    """A transcription between damaged messages, likewise."""
    client = SttClient(provider=BUILT_IN["munsit"], now=0.0)
    client.write_chunk(bytes(3_200))
    client.note_sent(0.0)
    said = [message_of(dice, corpus_messages.STT) for _ in range(dice.randint(1, 4))]
    for number, message in enumerate(said):
        client.receive(message, float(number))
    client.note_all_sent(len(said) + 0.0)
    return ended(client, parse_stt_reply, said, len(said) + 1.0)


def ended(
    client: TtsClient[ReceivedAudio] | SttClient,
    parse: Callable[[str | bytes], object],
    said: list[str] | list[str | bytes],
    now: float,
) -> bool:
    """Let a session run out: it must end, as done or as one of our errors."""
    for _ in range(9):
        if client.course.has_ended:
            break
        now = max(now, client.wait_until) + 0.01
        client.wake(now)
    if not client.course.has_ended:
        raise Wrong(f"it never ends: {said}")
    try:
        client.course.result()
    except SessionError as error:
        str(error).encode()
        if any(ord(c) < 0x20 for c in error.message):
            raise Wrong(f"a control character in {error.message!r}") from error
        return True
    return False


KINDS: dict[str, tuple[Callable[[random.Random, Path], bool], int]] = {
    "CSV cells": (csv_cells, 4),
    "CSV with stray quotes": (csv_quotes, 4),
    "JSON Lines, damaged": (jsonl_lines, 6),
    "manifests, damaged": (manifests, 4),
    "ids": (names, 8),
    "texts": (texts, 4),
    "texts through tones": (tones, 1),
    "recordings, damaged": (recordings, 4),
    "TTS sessions": (tts_messages, 16),
    "STT sessions": (stt_messages, 16),
}
"""The kinds of input, and how many of each a round has."""


def generate_inputs(
    rounds: Iterable[object], seed: int, folder: Path, *, most_wrong: int = 50
) -> tuple[Counter[str], Counter[str], list[str]]:
    """Generate so many rounds; give the counts, the refusals, and what was wrong.

    Args:
        rounds: As many.
        seed: Of the dice.
        folder: Where inputs are written.
        most_wrong: End with the round in which so much was wrong.
    """
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    wrong: list[str] = []
    number = 0
    for _ in itertools.takewhile(lambda _: len(wrong) < most_wrong, rounds):
        for kind, (judge, share) in KINDS.items():
            for _ in range(share):
                number += 1
                counts[kind] += 1
                try:
                    refused[kind] += judge(random.Random(f"{seed}/{number}"), folder)
                except (ManifestError, RecordingError) as error:
                    str(error).encode()
                    refused[kind] += 1
                except Wrong as error:
                    wrong.append(f"{kind} {number}: {error}")
                except BatchjobsError as error:
                    wrong.append(f"{kind} {number}: unexpected {type(error).__name__}: {error}")
                except BaseException as error:
                    wrong.append(f"{kind} {number}: CRASH {type(error).__name__}: {error}")
                    if isinstance(error, KeyboardInterrupt):
                        raise
    return counts, refused, wrong


def for_so_long(seconds: float) -> Iterator[int]:
    """Count for so many seconds."""
    began = time.monotonic()
    return itertools.takewhile(lambda _: time.monotonic() - began < seconds, itertools.count())


def main() -> int:
    """Generate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    from tests.faults.crash import commit_id

    print(f"seed {given.seed}, commit {commit_id()}")
    with tempfile.TemporaryDirectory() as name:
        counts, refused, wrong = generate_inputs(for_so_long(given.seconds), given.seed, Path(name))
    print("inputs      refused     kind")
    for kind, count in counts.items():
        print(f"{count:>10,} {refused[kind]:>10,}  {kind}")
    print(f"{counts.total():>10,} {refused.total():>10,}  in all; {len(wrong)} wrong")
    for line in wrong:
        print(line[:1_000])
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
