"""The helper of espeak: its start, its frames, its crashes, and its end."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import espeakng_loader
import pytest

from batchjobs.errors import EngineError
from batchjobs.server.engines import espeak_helper
from batchjobs.server.engines.espeak import EspeakSynthesiser
from tests.server.engines.speaking import say

# Forks of a process with threads; the child only calls what a fork may.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

_FAULTY = """
import importlib.util, os, signal
spec = importlib.util.spec_from_file_location("espeak_helper", {helper!r})
helper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helper)

def speak(request, write):
    text = request["runs"][0][1]
    write(b"\\1\\0" * 2205)
    if "crash" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "fail" in text:
        raise RuntimeError(text)
    if "hang" in text:
        while True:
            pass
    if "die" in text:
        os.kill(os.getppid(), signal.SIGKILL)
    if "stop" in text:
        os.kill(os.getppid(), signal.SIGSTOP)

helper.serve(0, 1, speak=speak, sample_rate=22050)
"""

_GREETING = """
import os, struct
data = b'{{"sample_rate": {sample_rate}, "error": "{error}"}}'
os.write(1, struct.pack("<I", len(data)) + data)
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[EspeakSynthesiser]:
    """Give an engine whose helper misbehaves when the text says so."""
    program = tmp_path / "faulty.py"
    program.write_text(_FAULTY.format(helper=espeak_helper.__file__))
    engine = EspeakSynthesiser(program=program, patience_seconds=0.3)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crash", "signal 11"),
        ("fail", "status 70"),
        ("hang", "too long"),
        ("die", "died twice"),
        ("stop", "does not answer"),
    ],
)
def test_one_bad_utterance_spoils_only_itself(
    faulty: EspeakSynthesiser, text: str, message: str
) -> None:
    """A crash, refusal or hang is an engine error in time, and the next text is spoken."""
    assert say(faulty, "good")
    with pytest.raises(EngineError, match=message):
        say(faulty, text)
    assert say(faulty, "good")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit(1)", "does not start"),
        (
            _GREETING.format(sample_rate=0, error="espeak is broken"),
            "espeak is broken",
        ),
    ],
)
def test_a_helper_that_cannot_start_is_an_error(tmp_path: Path, program: str, message: str) -> None:
    """A helper that ends at once, or says what it lacks, is an engine error that tells."""
    path = tmp_path / "broken.py"
    path.write_text(program)
    engine = EspeakSynthesiser(program=path)
    with pytest.raises(EngineError, match=message):
        say(engine, "hi")
    engine.close()


@pytest.mark.parametrize(
    ("library", "data", "message"),
    [
        ("/nowhere/libespeak.so", espeakng_loader.get_data_path(), "cannot be loaded"),
        (espeakng_loader.get_library_path(), "/nowhere", "data in /nowhere"),
    ],
)
def test_the_helper_says_what_it_lacks(library: str, data: str, message: str) -> None:
    """A missing library or data folder comes back as the helper's first words."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", espeak_helper.__file__, library, data],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert message in json.loads(done.stdout[4:])["error"]


_REQUEST = {
    "runs": [["ar+f2", "مرحبا"], ["en-us+m3", "hello"]],
    "words_per_minute": 175,
    "pitch": 50,
    "seconds": 10.0,
}


def _frames(data: bytes) -> list[bytes]:
    frames = []
    while data:
        end = 4 + struct.unpack("<I", data[:4])[0]
        frames.append(data[4:end])
        data = data[end:]
    return frames


def _served(requests: list[Mapping[str, object]], speak: espeak_helper.Speak) -> list[bytes]:
    source, source_end = os.pipe()
    sink_end, sink = os.pipe()
    for request in requests:
        data = json.dumps(request).encode()
        os.write(source_end, struct.pack("<I", len(data)) + data)
    os.close(source_end)
    espeak_helper.serve(source, sink, speak=speak, sample_rate=22_050)
    os.close(sink)
    os.close(source)
    with os.fdopen(sink_end, "rb") as answers:
        return _frames(answers.read())


def test_the_helper_answers_frame_by_frame() -> None:
    """Every request is answered with audio, an empty frame and an error or none."""

    def speak(request: Mapping[str, object], write: Callable[[bytes], None]) -> None:
        write(b"\1\0" * 10)
        assert request["seconds"] != 301

    answers = _served([{"seconds": 300}, {"seconds": 301}], speak)
    assert json.loads(answers[0]) == {"sample_rate": 22_050, "error": ""}
    assert answers[1:3] == [b"\1\0" * 10, b""]
    assert json.loads(answers[3]) == {"error": ""}
    assert answers[4:6] == [b"\1\0" * 10, b""]
    assert json.loads(answers[6]) == {"error": "espeak failed (status 70)"}


def test_the_helper_ends_when_nobody_listens() -> None:
    """A closed output ends the helper quietly."""
    source, source_end = os.pipe()
    sink_end, sink = os.pipe()
    os.close(sink_end)
    espeak_helper.serve(source, sink, speak=lambda _request, _write: None, sample_rate=1)
    for descriptor in (source, source_end, sink):
        os.close(descriptor)


def test_the_library_speaks_the_runs_of_a_request() -> None:
    """The library's wrapper gives the audio of each run, and refuses what makes no sense."""
    library = espeak_helper._Espeak(
        str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
    )
    pieces: list[bytes] = []
    library.speak(_REQUEST, pieces.append)
    assert library.sample_rate == 22_050
    assert 0.8 < sum(map(len, pieces)) / 44_100 < 2.5
    with pytest.raises(RuntimeError, match="espeak status"):
        library.speak({**_REQUEST, "runs": [["no-such-voice", "x"]]}, pieces.append)
    with pytest.raises(TypeError, match="no list"):
        library.speak({**_REQUEST, "runs": 1}, pieces.append)


def test_a_crash_is_told_from_a_hang() -> None:
    """A child's end reads as success, refusal, crash or overrun."""
    codes = (0, 70, -signal.SIGSEGV, -signal.SIGALRM)
    told = [espeak_helper._error(code) for code in codes]
    assert told[0] == ""
    assert [word in text for word, text in zip(("70", "11", "long"), told[1:], strict=True)] == [
        True
    ] * 3


def test_a_helper_that_resists_is_killed(tmp_path: Path) -> None:
    """Closing ends even a helper that ignores the end of its input."""
    path = tmp_path / "stubborn.py"
    path.write_text(
        _GREETING.format(sample_rate=22_050, error="")
        + "import signal\nwhile True:\n    signal.pause()\n"
    )
    engine = EspeakSynthesiser(program=path, patience_seconds=0.1)
    with contextlib.suppress(EngineError):
        say(engine, "hi")
    engine.close()
    assert engine._helper is None
