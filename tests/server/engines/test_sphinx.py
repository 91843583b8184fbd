"""Pocketsphinx in its helper process: it hears what is said, and outlives its helper."""

import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batchjobs.errors import ConfigurationError, EngineError
from batchjobs.server.engines import sphinx_helper
from batchjobs.server.engines.espeak import EspeakSynthesiser
from batchjobs.server.engines.sphinx import SphinxRecogniser, SphinxStream
from tests.builders import make_speech
from tests.server.engines.hearing import hear

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

_SENTENCES = [
    "hello world",
    "please open the door",
    "the weather is nice today",
    "the quick brown fox jumps over the lazy dog",
    "where is the nearest station",
]


@pytest.fixture(scope="module")
def clips() -> dict[tuple[str, str], bytes]:
    """Speak every sentence by two voices, at 16 kHz."""
    engine = EspeakSynthesiser()
    spoken = {
        (voice_id, sentence): b"".join(
            engine.synthesise(
                sentence,
                make_speech(16_000, voice_id=voice_id),
            )
        )
        for voice_id in ("en-male", "en-female")
        for sentence in _SENTENCES
    }
    engine.close()
    return spoken


@pytest.fixture(scope="module")
def expecting() -> Iterator[SphinxRecogniser]:
    """Give one recogniser that knows the sentences."""
    recogniser = SphinxRecogniser(grammar=_SENTENCES)
    yield recogniser
    recogniser.close()


@pytest.fixture(scope="module")
def dictation() -> Iterator[SphinxRecogniser]:
    """Give one recogniser that knows none."""
    recogniser = SphinxRecogniser()
    yield recogniser
    recogniser.close()


def test_expected_sentences_are_recognised_exactly(
    expecting: SphinxRecogniser, clips: dict[tuple[str, str], bytes]
) -> None:
    """With a grammar every sentence of both voices is recognised word by word."""
    heard = {key: hear(expecting, pcm)[-1] for key, pcm in clips.items()}
    assert heard == {key: key[1] for key in clips}


def test_the_same_audio_is_heard_the_same(
    dictation: SphinxRecogniser, clips: dict[tuple[str, str], bytes]
) -> None:
    """Open dictation gives the same partial transcripts each time, whatever it heard before."""
    pcm = clips["en-male", "please open the door"]
    first = hear(dictation, pcm)
    hear(dictation, clips["en-female", "hello world"])
    assert hear(dictation, pcm) == first
    assert first[-1]


def test_other_rates_are_resampled(
    expecting: SphinxRecogniser, clips: dict[tuple[str, str], bytes]
) -> None:
    """Audio at another rate is recognised as well as at its own."""
    samples = np.frombuffer(clips["en-male", "hello world"], "<i2").repeat(2)
    assert hear(expecting, samples.astype("<i2").tobytes(), 32_000)[-1] == "hello world"


def test_long_audio_is_heard_in_utterances(
    expecting: SphinxRecogniser, clips: dict[tuple[str, str], bytes]
) -> None:
    """After a pause a new utterance begins, and the transcript keeps the one before."""
    pause = bytes(2 * 16_000 * 5)
    pcm = clips["en-male", _SENTENCES[3]] + pause + clips["en-male", _SENTENCES[1]]
    seen = hear(expecting, pcm)
    assert seen[-1] == f"{_SENTENCES[3]} {_SENTENCES[1]}"


def test_silence_is_no_words(dictation: SphinxRecogniser) -> None:
    """Digital silence is heard as nothing, and no audio too."""
    assert hear(dictation, bytes(64_000)) == ["", ""]
    stream = dictation.start()
    assert stream.accept(b"", 16_000) == ""
    stream.close()


def test_it_says_that_it_is_for_rehearsal(dictation: SphinxRecogniser) -> None:
    """The recogniser introduces itself as one for rehearsal."""
    assert "rehearsal" in str(dictation)


def test_streams_do_not_disturb_each_other(
    expecting: SphinxRecogniser, clips: dict[tuple[str, str], bytes]
) -> None:
    """Sessions that listen at the same time each hear their own audio."""
    heard: dict[str, str] = {}

    def listen(sentence: str) -> None:
        heard[sentence] = hear(expecting, clips["en-male", sentence], chunk_bytes=8_000)[-1]

    threads = [threading.Thread(target=listen, args=(sentence,)) for sentence in _SENTENCES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {sentence: sentence for sentence in _SENTENCES}


@pytest.mark.parametrize("sentence", ["", "  ", "a | b", "x; y", "<rule>", "سلام"])
def test_a_grammar_holds_only_words(sentence: str) -> None:
    """A sentence that would change the grammar's meaning is refused."""
    with pytest.raises(ConfigurationError, match="grammar"):
        SphinxRecogniser(grammar=["good morning", sentence])


def test_a_grammar_of_unknown_words_is_told() -> None:
    """Words that the dictionary lacks end in an engine error at the first session."""
    recogniser = SphinxRecogniser(grammar=["zzyzxqy"])
    with pytest.raises(EngineError, match="cannot be loaded"):
        recogniser.start()
    recogniser.close()


def test_a_killed_helper_of_sphinx_is_replaced(clips: dict[tuple[str, str], bytes]) -> None:
    """After a SIGKILL of the helper the next session works, by a new helper."""
    recogniser = SphinxRecogniser(grammar=_SENTENCES)
    pcm = clips["en-male", "hello world"]
    assert hear(recogniser, pcm)[-1] == "hello world"
    assert recogniser._process is not None
    killed = recogniser._process.pid
    _kill(killed)
    assert hear(recogniser, pcm)[-1] == "hello world"
    recogniser.close()


def _kill(pid: int) -> None:
    """Kill a process and wait until it has ended."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [], 20)
    os.close(descriptor)


def test_a_closed_recogniser_says_so() -> None:
    """A closed recogniser starts no session; closing twice is fine."""
    recogniser = SphinxRecogniser()
    recogniser.close()
    recogniser.close()
    with pytest.raises(EngineError, match="closed"):
        recogniser.start()


def test_a_closed_stream_says_so(expecting: SphinxRecogniser) -> None:
    """A stream used after its end is an engine error."""
    stream = expecting.start()
    stream.close()
    with pytest.raises(EngineError, match="closed"):
        stream.accept(bytes(3_200), 16_000)


def test_a_decoder_that_hangs_is_told() -> None:
    """A decoder that gives no answer in time ends its stream with an engine error."""
    ours, theirs = socket.socketpair()
    stream = SphinxStream(ours, patience_seconds=0.01)
    with pytest.raises(EngineError, match="too long"):
        stream.accept(bytes(32), 16_000)
    with pytest.raises(EngineError, match="closed"):
        stream.accept(bytes(32), 16_000)
    theirs.close()


def test_a_decoder_that_dies_is_told() -> None:
    """A decoder whose process ends after the question ends its stream with an engine error."""
    ours, theirs = socket.socketpair()
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EngineError, match="died"):
        SphinxStream(ours).accept(bytes(32), 16_000)
    ours.close()
    theirs.close()


_GREETING = "import os, socket\ncontrol = socket.socket(fileno=0)\ncontrol.recv(4)\n"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit(1)", "does not start"),
        (_GREETING + "control.shutdown(socket.SHUT_RD)\ncontrol.sendall(bytes(4))", "died twice"),
    ],
)
def test_a_helper_of_sphinx_that_cannot_start_is_told(
    tmp_path: Path, program: str, message: str
) -> None:
    """A helper that ends at once is an engine error, after one more try."""
    path = tmp_path / "broken.py"
    path.write_text(program)
    recogniser = SphinxRecogniser(program=path)
    with pytest.raises(EngineError, match=message):
        recogniser.start()
    recogniser.close()


def test_a_helper_of_sphinx_that_resists_is_killed(tmp_path: Path) -> None:
    """Closing ends even a helper that ignores the end of its line."""
    path = tmp_path / "stubborn.py"
    path.write_text(
        _GREETING + "control.sendall(bytes(4))\nimport signal\nwhile True:\n    signal.pause()\n"
    )
    recogniser = SphinxRecogniser(program=path)
    recogniser.start().close()
    recogniser.close()
    assert recogniser._process is None


def test_the_decoders_process_answers_frame_by_frame(
    clips: dict[tuple[str, str], bytes],
) -> None:
    """A session's process answers audio with the text so far, and an end with the utterance."""
    decoder = sphinx_helper._load(f"#JSGF V1.0; grammar g; public <s> = {_SENTENCES[0]};")
    ours, theirs = socket.socketpair()
    process = threading.Thread(
        target=sphinx_helper._listen, args=(theirs, decoder), kwargs={"exact": True}
    )
    process.start()
    answers = []
    for frame in (b"P" + clips["en-male", _SENTENCES[0]], b"E", b"P" + bytes(3_200)):
        sphinx_helper.send(ours, frame)
        answers.append(sphinx_helper.receive(ours))
    ours.close()
    process.join()
    theirs.close()
    assert answers == [_SENTENCES[0].encode(), _SENTENCES[0].encode(), b""]


def test_the_helper_forks_for_every_socket_it_gets() -> None:
    """Each socket handed over is served by a fork, and the end of the line is the end."""
    decoder = sphinx_helper._load("")
    ours, theirs = socket.socketpair()
    session, session_end = socket.socketpair()
    socket.send_fds(ours, [b"S"], [session_end.fileno()])
    session_end.close()
    ours.shutdown(socket.SHUT_WR)
    before = signal.getsignal(signal.SIGCHLD)
    try:
        sphinx_helper.serve(theirs, decoder, exact=False)
    finally:
        signal.signal(signal.SIGCHLD, before)
    sphinx_helper.send(session, b"P" + bytes(3_200))
    assert sphinx_helper.receive(session) == b""
    session.shutdown(socket.SHUT_RDWR)  # the fork has a copy of this end too
    for each in (ours, theirs, session):
        each.close()
