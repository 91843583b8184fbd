"""The vendor's own clients, unchanged, against the local server.

    python tests/proofs/referees.py FOLDER [--only livekit-0.4.0]

FOLDER gets an environment for each client (1.5 GB in all), made the first time; give it again to use
them again. `livekit-plugins-munsit` 0.3.0 takes the documents' transcription socket, 0.4.0 the newer
one and speech over HTTP, as `pipecat-plugins-munsit` 0.2.0 does. Recordings are tones that carry their
text, Arabic with all that is difficult in it, in several rates and turns; each client must give exactly
what was said, turn by turn, with the ends, the times and the receipt as far as it shows them. Then the
same with espeak-ng and pocketsphinx, where all clients must hear what ours hears; and what each says to
a wrong key, a wrong path, a parameter that is none, a refusal and an engine that fails.
"""

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
import venv
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from batchjobs.jobs import SpeechSettings  # noqa: E402
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser  # noqa: E402
from batchjobs.text import split_words  # noqa: E402
from tests.canary import KEY  # noqa: E402
from tests.whole_runs import batchjobs, results, run_server, write_manifest  # noqa: E402

PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "livekit-0.3.0": ("livekit-plugins-munsit==0.3.0", "livekit-agents==1.8.9"),
    "livekit-0.4.0": ("livekit-plugins-munsit==0.4.0", "livekit-agents==1.8.9"),
    "pipecat-0.2.0": ("pipecat-plugins-munsit==0.2.0", "pipecat-ai==1.5.0"),
}
DOCUMENTED: Final = "websocket/speech-to-text"
NEWER: Final = "listen"
TURNS: Final = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ، الرقم ١٩٤٨",
    "نستخدم trio مع WebSocket بسرعة؛ می\u200cخواهم لا\u200dإله",
    "العربية لغةٌ جميـــلة! \u200f25\u200f ٪ من API",
)
SILENCE_SECONDS: Final = 1.5
SECONDS: Final = 40.0
"""That a client may take for one job."""


class RefereeError(Exception):
    """A client gave something else than was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Turns that were spoken, with silence behind each.

    Attributes:
        path: The WAV file.
        turns: Their texts.
        spans: Begin and end of each, in seconds.
        seconds: Of all of it.
    """

    path: Path
    turns: tuple[str, ...]
    spans: tuple[tuple[float, float], ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client made of a job.

    Attributes:
        events: What it gave, in the form of `referee_livekit.describe`.
        log: What it logged.
        raised: What it raised.
    """

    events: list[dict[str, Any]]
    log: list[str]
    raised: str

    @property
    def finals(self) -> list[dict[str, Any]]:
        """What it gave for final."""
        return [event for event in self.events if event["type"] == "final_transcript"]

    @property
    def complaint(self) -> str:
        """What it raised, or pushed as an error."""
        errors = [event["text"] for event in self.events if event["type"] == "error"]
        return " | ".join(filter(None, [self.raised, *errors]))


def prepare(folder: Path, name: str) -> Path:
    """Make a client's environment if it is not there; gives its interpreter."""
    place = folder / name
    if not (place / "ready").exists():
        venv.create(place, with_pip=True)
        subprocess.run([place / "bin/pip", "install", "-q", *PACKAGES[name]], check=True)
        (place / "ready").touch()
    return place / "bin/python"


def ask(python: Path, jobs: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Answer]]:
    """Let a client do jobs, in a process of its own."""
    name = "referee_pipecat.py" if "pipecat" in str(python) else "referee_livekit.py"
    every = {"key": KEY, "options": {}, "seconds": SECONDS, "pause": 0.0, "is_paced": False}
    asked = [every | job for job in jobs]
    done = subprocess.run(
        [python, ROOT / "tests/proofs" / name],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RefereeError(done.stderr[-2_000:])
    for job, line in zip(asked, done.stdout.splitlines(), strict=True):
        said = json.loads(line)
        assert said.pop("name") == job["name"]
        yield job, Answer(**said)


# -- recordings ----------------------------------------------------------------------------------


def make_recording(path: Path, turns: Sequence[str], *, rate: int, channels: int = 1) -> Recording:
    """Speak turns as tones, each with silence behind it."""
    speech = SpeechSettings(voice_id="any", model_id="any", output_format=f"pcm_{rate}")
    spoken, spans, at = [bytes(rate)], [], 0.5
    for turn in turns:
        # An engine writes a space where a text ends in one, so that its turns do not run together.
        spoken.append(b"".join(ToneSynthesiser().synthesise(f"{turn} ", speech)))
        seconds = len(spoken[-1]) / 2 / rate
        spans.append((at, at + seconds))
        spoken.append(bytes(2 * round(SILENCE_SECONDS * rate)))
        at += seconds + SILENCE_SECONDS
    samples = np.frombuffer(b"".join(spoken), "<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return Recording(path=path, turns=tuple(turns), spans=tuple(spans), seconds=len(samples) / rate)


# -- what has to be ------------------------------------------------------------------------------


def expect(condition: object, what: str, answer: Answer) -> None:
    """See that something holds."""
    if not condition:
        events = "\n".join(map(repr, answer.events))
        raise RefereeError("\n".join([what, events, *answer.log, answer.raised]))


def see_turns(recording: Recording, answer: Answer) -> None:
    """See that each turn is a final with its text and times, and that the receipt has all."""
    expect(not answer.complaint, "it complained", answer)
    texts = [final["text"] for final in answer.finals]
    expect(texts == list(recording.turns), f"the finals are not {recording.turns}", answer)
    for final, (begin, end) in zip(answer.finals, recording.spans, strict=True):
        said = [word for word, _, _ in final["words"]]
        expect(said == split_words(final["text"]), "other words than the text's", answer)
        times = [moment for _, start, stop in final["words"] for moment in (start, stop)]
        expect(times == sorted(times), "words out of order", answer)
        within = begin - 0.5 <= times[0] < times[-1] <= end + 0.5
        expect(within, f"a turn from {begin:.2f} to {end:.2f} s is timed otherwise", answer)
    found = [re.search(r"closed.*?([0-9.]+)s billed, ([0-9]+) turns", line) for line in answer.log]
    receipts = [(float(each[1]), int(each[2])) for each in found if each]
    expect(len(receipts) == 1, "not one receipt", answer)
    billed, turns = receipts[0]
    expect(abs(billed - recording.seconds) < 0.1, f"{billed} s are billed", answer)
    expect(turns == len(recording.turns), f"{turns} turns are billed", answer)


def see_ends(answer: Answer) -> None:
    """See that each turn begins, becomes final, and ends: what livekit makes events of."""
    kinds = [event["type"] for event in answer.events if event["type"].endswith("speech")]
    expect(kinds == ["start_of_speech", "end_of_speech"] * (len(kinds) // 2), "ends", answer)
    expect(len(kinds) == 2 * len(answer.finals), "not two marks a final", answer)


def see_whole(recording: Recording, answer: Answer) -> None:
    """See that the documented socket's client has all in one final: it ends by its own clock."""
    expect(not answer.complaint, "it complained", answer)
    texts = [final["text"].strip() for final in answer.finals]
    expect(texts == [" ".join(recording.turns)], "not what was said", answer)
    see_ends(answer)


def see_complaint(pattern: str, answer: Answer) -> None:
    """See that a client reports what the server said, and gives no text."""
    expect(re.search(pattern, answer.complaint), f"no complaint like {pattern!r}", answer)
    expect(not answer.finals, "a text", answer)
    expect(KEY not in repr(answer), "the key", answer)
    print(f"    says: {answer.complaint}")


# -- the clients ---------------------------------------------------------------------------------


def hearing(name: str, url: str, recording: Recording, **others: Any) -> dict[str, Any]:
    """Write the job of transcribing a recording."""
    patience = max(1.0, recording.seconds / 10)
    job = {"name": name, "act": "hear", "url": url, "file": str(recording.path)}
    return job | {"patience": patience} | others


def drive_documented(python: Path, base_url: str, folder: Path) -> None:
    """Drive a client of the documented socket."""
    url = f"{base_url}/{DOCUMENTED}"
    recordings = {
        f"{rate} Hz": make_recording(folder / f"{rate}.wav", TURNS, rate=rate)
        for rate in (8_000, 16_000, 24_000, 48_000)
    }
    jobs = [hearing(name, url, recording) for name, recording in recordings.items()]
    for auth in ("bearer", "query"):
        recordings[auth] = recordings["16000 Hz"]
        jobs.append(hearing(auth, url, recordings[auth], options={"auth_method": auth}))
    for job, answer in ask(python, jobs):
        see_whole(recordings[job["name"]], answer)
        print(f"  {job['name']}: exact")
    one = recordings["16000 Hz"]
    jobs = [
        hearing("401", url, one, key="wrong"),
        hearing(
            "closed unexpectedly|handshake failed|TimeoutError", f"{base_url}/no", one, seconds=2
        ),
    ]
    for job, answer in ask(python, jobs):
        see_complaint(job["name"], answer)


def drive_newer(python: Path, base_url: str, folder: Path, *, is_livekit: bool) -> None:
    """Drive a client of the newer socket."""
    url = f"{base_url}/{NEWER}"
    arabic: dict[str, Any] = {"model": "munsit"} if is_livekit else {}
    recordings, jobs = {}, []
    # Two channels at another rate than the client's make half of its speed: findings/ has why.
    for rate, channels in ((8_000, 1), (16_000, 1), (44_100, 1), (48_000, 1), (16_000, 2)):
        if channels == 1 or is_livekit:
            name = f"{rate} Hz, {channels} channels"
            path = folder / f"{rate}-{channels}.wav"
            recordings[name] = make_recording(path, TURNS, rate=rate, channels=channels)
            jobs.append(hearing(name, url, recordings[name], options=arabic))
    others: dict[str, dict[str, Any]] = {
        "no interim results": {"interim_results": False},
        "hot words": {"hotwords": ["فصيح", "منصت"]},
        "a correlation id": {"correlation_id": "طلب ١"},
        "a short silence": {"endpointing_ms": 300},
        "a long silence": {"endpointing_ms": 1_400, "smart_turn": False},
    }
    if is_livekit:
        others |= {"bearer": {"auth_method": "bearer"}, "query": {"auth_method": "query"}}
        others |= {"English too": {"model": "munsit-en-ar"}}
    one = recordings["16000 Hz, 1 channels"]
    for name, options in others.items():
        recordings[name] = one
        jobs.append(hearing(name, url, one, options=arabic | options))
    name = "a pause of 13 s in the middle"
    recordings[name] = one
    jobs.append(hearing(name, url, one, options=arabic, pause=13.0))
    for job, answer in ask(python, jobs):
        see_turns(recordings[job["name"]], answer)
        if is_livekit:
            see_ends(answer)
        is_wanted = job["options"].get("interim_results", True)
        interim = [event for event in answer.events if event["type"] == "interim_transcript"]
        expect(bool(interim) is is_wanted, "interim results", answer)
        print(f"  {job['name']}: exact, with ends, times and receipt")


def drive_refused(python: Path, base_url: str, recording: Recording, *, is_livekit: bool) -> None:
    """See what a client of the newer socket makes of a key, a path and a parameter that are wrong."""
    url = f"{base_url}/{NEWER}"
    jobs = [
        hearing("401", url, recording, key="wrong"),
        hearing("TimeoutError|404", f"{base_url}/no", recording, seconds=2),
    ]
    if is_livekit:
        options = {"extra_query_params": {"sample_rate": "44100"}}
        jobs.append(
            hearing("4002: invalid parameter: sample_rate", url, recording, options=options)
        )
    else:  # it builds its query itself, behind whatever the URL has
        message = r"invalid parameter: model.*4002"
        jobs.append(hearing(message, f"{url}?model=whisper", recording))
    for job, answer in ask(python, jobs):
        see_complaint(job["name"], answer)


def drive_faults(python: Path, folder: Path, recording: Recording) -> None:
    """See what a client of the newer socket makes of a server that refuses, or fails."""
    for fault, pattern in (
        ("throttle", "concurrent session limit reached"),
        ("error:50001", "50001"),
    ):
        with run_server(folder, "--engine", "tone", "--fault", fault) as base_url:
            job = hearing(pattern, f"{base_url}/{NEWER}", recording)
            for _, answer in ask(python, [job]):
                see_complaint(pattern, answer)


def saying(name: str, url: str, text: str, **others: Any) -> dict[str, Any]:
    """Write the job of speaking a text over HTTP."""
    return {"name": name, "act": "speak", "url": url, "text": text, "is_streamed": False} | others


def drive_speech(python: Path, base_url: str, *, is_livekit: bool) -> None:
    """Let a client speak over HTTP: the tones that it gets must say what it was given."""
    url = base_url.replace("ws://", "http://")
    rates = (8_000, 16_000, 24_000, 48_000)
    jobs = [
        saying(f"{rate} Hz", url, text, options={"sample_rate": rate})
        for rate, text in zip(rates, (*TURNS, TURNS[0]), strict=True)
    ]
    if is_livekit:
        jobs += [
            saying("in a stream", url, TURNS[0], is_streamed=True),
            saying("in a dialect", url, TURNS[1], options={"dialect": "emirati", "speed": 0.8}),
        ]
    for job, answer in ask(python, jobs):
        expect(not answer.complaint, "it complained", answer)
        (audio,) = answer.events
        rate = job["options"].get("sample_rate", 48_000)
        expect((audio["rate"], audio["channels"]) == (rate, 1), "another rate", answer)
        heard = ToneRecogniser().start().accept(base64.b64decode(audio["pcm"]) + bytes(rate), rate)
        expect(heard == job["text"], f"it says {heard!r}", answer)
        print(f"  speech, {job['name']}: exact")
    jobs = [
        saying("401|Unauthorized", url, "نعم", key="wrong"),
        saying("400|Bad request", url, "نعم", options={"sample_rate": 7_000}),
        saying("404|not found", f"{url}/no", "نعم"),
    ]
    for job, answer in ask(python, jobs):
        see_complaint(job["name"], answer)


def hear_speech(pythons: Mapping[str, Path], folder: Path) -> None:
    """Let all clients hear espeak-ng by way of pocketsphinx: each what ours hears."""
    rows = [
        {
            "id": "one",
            "text": "the quick brown fox jumps over the lazy dog",
            "voice_id": "en-us-male-1",
        }
    ]
    manifest = write_manifest(folder / "say.csv", rows)
    batchjobs("run", manifest, "-o", folder / "said", "--output-format", "pcm_16000", cwd=folder)
    path = folder / "said" / results(folder / "said")[0]["output"]
    with wave.open(str(path)) as file:
        seconds = file.getnframes() / file.getframerate()
    recording = Recording(path=path, turns=(), spans=(), seconds=seconds)
    rows = [{"id": "one", "audio": str(path.relative_to(folder)), "output": "one.txt"}]
    manifest = write_manifest(folder / "hear.csv", rows)
    (folder / "batchjobs.toml").write_text('[providers.local]\nstt_protocol = "listen"\n')
    batchjobs("run", manifest, "-o", folder / "heard", cwd=folder)
    ours = results(folder / "heard")[0]["transcript"]
    print(f"espeak-ng by pocketsphinx; ours: {ours!r}")
    with run_server(folder) as base_url:
        for name, python in pythons.items():
            is_documented = name == "livekit-0.3.0"
            url = f"{base_url}/{DOCUMENTED if is_documented else NEWER}"
            # The documented socket's client waits little for an engine that is behind its audio.
            job = hearing(name, url, recording, is_paced=is_documented)
            for _, answer in ask(python, [job]):
                expect(not answer.complaint, "it complained", answer)
                said = " ".join(final["text"].strip() for final in answer.finals)
                expect(said == ours, f"{name} heard {said!r}", answer)
                print(f"  {name}: the same")


def main() -> None:
    """Drive every client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=PACKAGES, default=list(PACKAGES))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = given.folder.resolve()
    pythons = {name: prepare(folder, name) for name in given.only}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        for name, python in pythons.items():
            print(name)
            is_livekit = name.startswith("livekit")
            with run_server(work, "--engine", "tone") as base_url:
                if name == "livekit-0.3.0":
                    drive_documented(python, base_url, work)
                    continue
                drive_newer(python, base_url, work, is_livekit=is_livekit)
                one = make_recording(work / "one.wav", TURNS[:1], rate=16_000)
                drive_refused(python, base_url, one, is_livekit=is_livekit)
                drive_speech(python, base_url, is_livekit=is_livekit)
            drive_faults(python, work, one)
        hear_speech(pythons, work)
    print("all of it as it should be")


if __name__ == "__main__":
    main()
