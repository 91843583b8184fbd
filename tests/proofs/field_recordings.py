"""What the recordings of the field have to become, heard by the engine that hears tones."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import soundfile

from batchjobs.audio.decoding import pcm_chunks
from tests.commands import ROOT
from tests.whole_runs import batchjobs, environment, results, summary

Lines = Iterator[tuple[str, str]]

STELLA = "Please call Stella"
ABOUT = "I do not know what to say about it."
CHAIR = "Thank you very much, madam chair."


def hear(
    files: Mapping[str, Path], room: Path, *, expect: int | None = 0
) -> dict[str, dict[str, Any]]:
    """Have files transcribed; gives what each JSON transcript says."""
    made = room / "hear.jsonl"
    made.write_text(
        "".join(json.dumps({"id": name, "audio": str(path)}) + "\n" for name, path in files.items())
    )
    command = ("run", made, "--engine", "tone", "-q", "-o", room / "heard", "--input-root", "/")
    batchjobs(*command, "--skip-bad-rows", cwd=room, expect=expect)
    return {name: read_transcript(room / "heard", name) for name in files}


def read_transcript(run: Path, name: str) -> dict[str, Any]:
    """One JSON transcript; an empty one where there is none."""
    path = run / "transcripts" / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {"text": ""}


def words_of(transcript: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Words with their starts."""
    words = [word for part in transcript.get("segments", ()) for word in part.get("words", ())]
    words = words or transcript.get("words", [])
    return [
        (
            str(word.get("word", word.get("text"))),
            float(word.get("start_seconds", word.get("start"))),
        )
        for word in words
    ]


def start_of(sentence: str, words: list[tuple[str, float]]) -> float:
    """When a sentence's first words are said."""
    wanted = re.findall(r"\w+", sentence)[:3]
    said = [re.sub(r"\W", "", word) for word, _ in words]
    for at in range(len(words)):
        if said[at : at + len(wanted)] == wanted:
            return words[at][1]
    return float("nan")


def judge_recordings(
    expected: Mapping[str, tuple[tuple[str, float | None], ...]], folder: Path, room: Path
) -> Lines:
    """Each recording has its sentences, in order, within half a second of their times."""
    names = {re.sub(r"\W", "-", name): name for name in expected}
    heard = hear({key: folder / name for key, name in names.items()}, room, expect=None)
    for key, name in names.items():
        sentences = expected[name]
        text = " ".join(heard[key]["text"].split())
        fault = "" if text == " ".join(said for said, _ in sentences) else f"heard {text!r}"
        for said, seconds in sentences:
            found = start_of(said, words_of(heard[key]))
            if seconds is not None and not abs(found - seconds) <= 0.6:
                fault += f" {said!r} at {found} in place of {seconds} s"
        yield name, fault


def make(
    folder: Path, room: Path, *more: str, name: str = "make.py"
) -> subprocess.CompletedProcess[str]:
    """Run an input's own maker, with a command that is this checkout's."""
    command = room / "batchjobs"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m batchjobs "$@"\n')
    command.chmod(0o755)
    shell = [sys.executable] if name.endswith(".py") else ["bash"]
    return subprocess.run(
        [
            *shell,
            folder / name,
            *([str(command)] if more != ("plain",) else []),
            *more,
            room / "made",
        ],
        cwd=room,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def made_is_right(folder: Path, room: Path) -> Lines:
    """The maker judges what it made by itself, with its exit code."""
    done = make(folder, room)
    fault = "" if done.returncode == 0 else done.stdout[-600:] + done.stderr[-300:]
    yield "make.py", fault


def count_repeated(folder: Path, room: Path) -> Lines:
    """A litany has as many words as were said."""
    make(folder, room)
    made = room / "made"
    batchjobs("run", made / "hear.jsonl", "--engine", "tone", "-q", "-o", room / "out", cwd=room)
    for name, text in json.loads((made / "expected.json").read_text("utf-8")).items():
        heard = read_transcript(room / "out", name)["text"].split()
        said = text.split()
        yield name, "" if heard == said else f"{len(said)} said, {len(heard)} written"


def hear_quiet(folder: Path, room: Path) -> Lines:
    """A quiet recording has all its words."""
    make(folder, room)
    made = room / "made"
    said = json.loads((made / "expected.json").read_text("utf-8"))
    batchjobs("run", made / "hear.jsonl", "--engine", "tone", "-q", "-o", room / "out", cwd=room)
    heard = {
        path.stem: read_transcript(room / "out", path.stem)["text"].split()
        for path in sorted(made.glob("*.wav"))
    }
    first_minute = heard["short-60"]
    for name, words in heard.items():
        wanted = said if name.startswith("long") else first_minute
        is_right = words == wanted and bool(words) and words == said[: len(words)]
        yield name, "" if is_right else f"{len(words)} of {len(wanted)} words"


def scan_everything(folder: Path, room: Path) -> Lines:
    """Every recording is in the manifest or named."""
    archive = room / "archive"
    archive.mkdir()
    if subprocess.run(
        ["sh", "-c", "command -v ffmpeg"], capture_output=True, check=False
    ).returncode:
        yield "all", "make.sh needs ffmpeg, which is not here"
        return
    batchjobs("run", _say(room), "--engine", "tone", "-q", "-o", room / "said", cwd=room)
    made = ["bash", str(folder / "make.sh"), str(room / "said/audio/s.wav"), str(archive)]
    subprocess.run(made, check=True, cwd=room, env=environment())
    done = batchjobs("scan", archive, "-o", room / "archive.jsonl", cwd=room, expect=None)
    told = done.stdout + done.stderr + (room / "archive.jsonl").read_text("utf-8")
    for path in sorted(filter(Path.is_file, archive.iterdir())):
        shown = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        ending = "." + shown.rpartition(".")[2]
        is_told = shown in told or ending in told or ("caf" in shown and "caf" in told)
        yield shown, "" if is_told else f"not a word: {done.stdout}"


def _say(room: Path) -> Path:
    path = room / "say.jsonl"
    path.write_text(json.dumps({"id": "s", "text": ABOUT}) + "\n")
    return path


def pass_over_unknown_codec(folder: Path, room: Path) -> Lines:
    """A codec that nobody knows is named, and the other recordings are heard."""
    names = ("apac-first.mov", "apac-second.mov", "unknown.mkv")
    done = batchjobs("scan", folder, "-o", room / "all.jsonl", cwd=room, expect=None)
    yield (
        "scan",
        ""
        if done.returncode in {0, 1} and "unknown.mkv" in done.stdout + done.stderr
        else done.stderr,
    )
    heard = hear({name[:-4]: folder / name for name in names}, room, expect=None)
    for name, wanted in zip(names, (CHAIR, ABOUT, ""), strict=True):
        text = heard[name[:-4]]["text"].strip()
        yield name, "" if text == wanted else f"heard {text!r}"


def run_on_without_gone(folder: Path, room: Path) -> Lines:
    """A recording that has moved away keeps its result and stops nobody."""
    rows = [{"id": name, "text": f"{name} {ABOUT}"} for name in ("one", "two", "three")]
    (room / "say.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    batchjobs("run", "say.jsonl", "--engine", "tone", "-q", "-o", "said", cwd=room)
    sounds = [str(room / "said" / "audio" / f"{row['id']}.wav") for row in rows]
    done = make(folder, room, *sounds, name="make.sh")
    codes = re.findall(r"^rc (\d+)", done.stdout, re.MULTILINE)
    yield "exit codes", "" if codes == ["0", "0", "0"] else f"{codes} {done.stderr[-500:]}"
    run = room / "made" / "outputs" / "arch"
    found = {str(row["output"]) for row in results(run)}
    wanted = {f"transcripts/{name}.txt" for name in ("old", "stays", "new")}
    yield (
        "results",
        ""
        if {path.rpartition("/")[2] for path in found}
        >= {path.rpartition("/")[2] for path in wanted}
        else f"{found}",
    )
    whole = summary(run)
    yield "summary", "" if not whole.get("failed") else f"{whole}"


def run_promises(*promises: str) -> Callable[[Path, Path], Lines]:
    """Kinds whose input is a script about functions: the suite's own tests of the same."""

    def look(_folder: Path, room: Path) -> Lines:
        for promise in promises:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", promise],
                cwd=ROOT,
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            yield promise, "" if done.returncode == 0 else done.stdout[-600:]

    return look


_BOTH = ((ABOUT, None), (CHAIR, None))
_ONE = ((ABOUT, None),)
_EXPECTED: dict[str, dict[str, tuple[tuple[str, float | None], ...]]] = {
    "02-joined-mp3-with-tag-between": {"joined.mp3": _BOTH, "joined2.mp3": _BOTH},
    "03-wav-claims-less-than-it-holds": {"claims-first.wav": _BOTH},
    "04-audio-starts-late-times": {
        "late5.mp4": ((ABOUT, 5.0),),
        "late5.mov": ((ABOUT, 5.0),),
        "late2.mkv": ((ABOUT, 2.0),),
    },
    "06-gaps-in-time-stamps": dict.fromkeys(
        ("gap.m4a", "gap.mkv", "gap.webm"), ((ABOUT, 0.0), (CHAIR, 10.2))
    ),
    "07-opposite-phase": {"opposite.wav": _ONE},
    "08-several-audio-tracks": {
        "comment-first.mkv": ((CHAIR, None),),
        "default-second.mp4": ((CHAIR, None),),
    },
    "15-formats-of-archives-refused": {
        name: _BOTH if name == "chained.opus" else _ONE
        for name in (
            "ALAW.wav",
            "ULAW.wav",
            "chained.opus",
            "layer2.mp3",
            "stream.flac",
            "wave64.w64",
        )
    },
    "16-good-files-called-damaged": dict.fromkeys(("flac.ogg", "id3.flac", "no-eos.opus"), _ONE),
}


def hear_telephone(folder: Path, room: Path) -> Lines:
    """Archives' formats are heard; of GSM, which keeps no tones, the sound comes through whole."""
    kind = "15-formats-of-archives-refused"
    yield from judge_recordings(_EXPECTED[kind], folder, room)
    said, rate = soundfile.read(folder / "GSM610.wav", dtype="int16")
    heard = b"".join(pcm_chunks(folder / "GSM610.wav", sample_rate=rate, gain=1.0))
    yield (
        "GSM610.wav",
        "" if heard == said.tobytes() else f"{len(heard) // 2} of {len(said)} samples",
    )


def tell_other_tracks(folder: Path, room: Path) -> Lines:
    """The default track is heard, and where there are others a line says so."""
    kind = "08-several-audio-tracks"
    yield from judge_recordings(_EXPECTED[kind], folder, room)
    (room / "two.jsonl").write_text(
        json.dumps({"id": "two", "audio": str(folder / "two-mono-tracks.mov")}) + "\n"
    )
    done = batchjobs("plan", "two.jsonl", "--input-root", "/", cwd=room, expect=None)
    told = done.stdout + done.stderr
    yield "two-mono-tracks.mov", "" if "track" in told else told


def time_short_recordings(folder: Path, room: Path) -> Lines:
    """What comes after a silence stands after it."""
    names = ("short_lead20", "short_lead60", "short_pause30")
    heard = hear({name: folder / f"{name}.flac" for name in names}, room)
    for name, sentence, seconds in zip(
        names, (CHAIR, STELLA, STELLA), (20.0, 60.0, 35.2), strict=True
    ):
        found = start_of(sentence, words_of(heard[name]))
        yield name, "" if abs(found - seconds) <= 0.5 else f"at {found} in place of {seconds} s"


RECORDINGS: dict[str, Callable[[Path, Path], Lines]] = {
    **{f"stt/{kind}": partial(judge_recordings, wanted) for kind, wanted in _EXPECTED.items()},
    "stt/01-repeated-words-at-cuts": count_repeated,
    "stt/08-several-audio-tracks": tell_other_tracks,
    "stt/15-formats-of-archives-refused": hear_telephone,
    "stt/10-scan-says-nothing": scan_everything,
    "stt/12-very-quiet-recordings": hear_quiet,
    "stt/13-cues-of-text-without-spaces": run_promises("tests/transcripts/test_cues.py"),
    "stt/14-srt-takes-text-for-markup": run_promises("tests/transcripts/test_cues.py"),
    "stt/18-short-recordings-with-long-pauses": time_short_recordings,
    "stt/20-unknown-codec-stops-everything": pass_over_unknown_codec,
    "stt/21-overlap-heard-otherwise": run_promises("tests/transcripts/test_seam.py"),
    "stt/22-times-after-a-revision": run_promises("tests/protocol/test_growth.py"),
    "stt/25-digital-silence-in-noise": made_is_right,
    "stt/27-recordings-gone-stop-the-run": run_on_without_gone,
    "stt/33-said-again-far-from-the-cut": made_is_right,
}
