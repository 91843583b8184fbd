"""The espeak engine: real voices for Arabic and English, spoken by a helper process."""

import functools
import hashlib
import json
import os
import re
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from batchjobs.audio.pcm import quantise, to_floats
from batchjobs.errors import EngineError
from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.samples import Resampler
from batchjobs.server.engines.voices import VARIANTS
from batchjobs.text import script_of, split_messages

_PROGRAM = Path(__file__).with_name("espeak_helper.py")
_START_SECONDS = 20.0
_PATIENCE_SECONDS = 10.0
_PATIENCE_PER_CHARACTER_SECONDS = 0.02  # it needs 0.0001
_GRACE = 1.5  # times the helper's own deadline, before the helper is replaced
_CLOSE_SECONDS = 0.5  # it needs a few milliseconds
_READ_BYTES = 65_536

_PIECE_CHARACTERS = 500
_BLOCK_SECONDS = 0.5
_PAUSE_SECONDS = 0.25
"""After a sentence, at speed 1; espeak itself stops with the last sound."""

_BASE_VOICES: Mapping[str, str] = {"arabic": "ar", "latin": "en-us"}
_FEMALE = tuple(f"f{number}" for number in range(1, 6))
_MALE = tuple(f"m{number}" for number in range(1, 8))
_WORDS_PER_MINUTE = 175  # espeak's own pace
_SLOWEST, _FASTEST = 80, 450
_PITCH_LOWEST, _PITCHES = 35, 31  # around espeak's 50

_WORD = re.compile(r"\S+\s*|\s+")
_ARABIC_DIGIT = re.compile("[\u0660-\u0669\u06f0-\u06f9]")
_SEPARATOR = re.compile(r"(?<=\d)[\u066b\u066c](?=\d)")
_INNER_STOP = re.compile(r"(?<=[^\W_])\.(?=\s+\w)")
"""An abbreviation's in a sentence: espeak-ng stops for 0.3 to 0.8 s after "د." and "vol."."""
_READ_SEPARATORS = {"\u066b": ".", "\u066c": ","}
"""espeak-ng 1.52.0 leaves the Arabic decimal separator out of "٢٫٥", and ends the number at the
thousands separator of "١٬٠٠٠"; see findings/espeak-ng-arabic-numbers.sh."""
_NUMBER = (
    r"\d[\s\u200e\u200f\u2066-\u2069-]*|"
    r"\b\w*(?:مئة|مائة|ألف|آلاف|مليون|(?:ثلاث|أربع|خمس|ست|سبع|ثمان|تسع|عشر)(?:ة|ية|ون|ين))\s+"
)
_PARTS = r"\w\u064b-\u0652\u0670\u200c\u200d"
_HOW_MANY = re.compile(rf"({_NUMBER})?(?<![{_PARTS}])كم(?![{_PARTS}./)])")
"""Without a number before it, it is no kilometre, unless in "كم/س" or in brackets; see
findings/phonemizer-arabic-questions.sh."""
_LATE_SHADDA = re.compile("([\u064b-\u0650]+)\u0651")
_INNER_TATWEEL = re.compile("\u0640+(?=[\u0621-\u0652\u0670])")
"""It leaves out vowels before a shadda, where NFC puts them, and guesses none in a word with tatweel; see
findings/espeak-ng-arabic-nfc.sh. One at the end stays: "هـ" is a year's mark and no "ها"."""


def choose_variant(voice_id: str) -> tuple[str, int]:
    """Choose the espeak variant and pitch for a voice id: always the same for the same id.

    Args:
        voice_id: One of `VARIANTS`, or any; one that says ``female`` or ``male`` gets such a voice.

    Returns:
        The variant, as ``f3`` or ``m1``, and the pitch, 35 to 65.
    """
    name = voice_id.casefold()
    if name in VARIANTS:
        variants: tuple[str, ...] = (VARIANTS[name],)
    elif "female" in name:
        variants = _FEMALE
    elif "male" in name:
        variants = _MALE
    else:
        variants = _FEMALE + _MALE
    digest = hashlib.sha256(voice_id.encode("utf-8", "surrogatepass")).digest()
    return variants[digest[0] % len(variants)], _PITCH_LOWEST + digest[1] % _PITCHES


@functools.lru_cache(maxsize=4096)
def _is_arabic(character: str) -> bool:
    return script_of(character) == "arabic" or _ARABIC_DIGIT.match(character) is not None


def _word_script(word: str) -> str:
    # The Arabic voice switches to English by itself inside a word; the English one spells Arabic.
    if any(map(_is_arabic, word)):
        return "arabic"
    return "latin" if any(map(str.isalpha, word)) else ""


def split_scripts(text: str, *, otherwise: str) -> list[tuple[str, str]]:
    """Cut a text into runs of words for the Arabic and the English voice.

    A word with an Arabic letter or Arabic-Indic digit is Arabic, one with other letters is Latin;
    what has neither (numbers, punctuation) goes with the words before it, at the start with those
    after.

    Args:
        text: What to speak.
        otherwise: The script of a text that shows none: ``arabic`` or ``latin``.

    Returns:
        Pairs of script and text; the texts together are the whole text.
    """
    found: list[tuple[str, str]] = []
    current, waiting = "", ""
    for word in _WORD.findall(text):
        kind = _word_script(word)
        if kind and current and kind != current:
            found.append((current, waiting))
            waiting = ""
        current = kind or current
        waiting += word
    if waiting:
        found.append((current or otherwise, waiting))
    return found


class EspeakSynthesiser:
    """Speaks Arabic and English by espeak-ng; the same text and settings give the same bytes.

    Stability and similarity make no difference. Sentences are spoken one by one, so the first is
    heard while the others are still to be made, and a slow reader holds up no other.

    Args:
        program: The helper's program.
        patience_seconds: How long a sentence may take, beyond an allowance for its length.
    """

    def __init__(
        self, *, program: Path = _PROGRAM, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._program = program
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self._closed = False

    def synthesise(self, text: str, settings: SpeechSettings) -> Iterator[bytes]:
        """Speak a text; see `interface.Synthesiser`.

        Raises:
            EngineError: espeak refused, crashed or hung on it, or cannot be started.
        """
        speakable = text.encode("utf-8", "replace").decode().replace("\0", " ")
        rate = settings.sample_rate
        block_bytes = 2 * int(_BLOCK_SECONDS * rate)
        resampler: Resampler | None = None
        for sentence in split_messages(speakable, limit_characters=_PIECE_CHARACTERS):
            native_rate, pcm = self._speak(_INNER_STOP.sub("", sentence), settings)
            resampler = resampler or Resampler(from_rate=native_rate, to_rate=rate)
            pause = bytes(2 * int(_PAUSE_SECONDS / settings.speed * native_rate))
            yield from _blocks(resampler, pcm + pause, block_bytes)
        if resampler is not None:
            yield from _blocks(resampler, b"", block_bytes, last=True)

    def close(self) -> None:
        """End the helper process."""
        with self._lock:
            self._closed = True
            self._drop_helper()

    def _speak(self, sentence: str, settings: SpeechSettings) -> tuple[int, bytes]:
        variant, pitch = choose_variant(settings.voice_id)
        otherwise = "arabic" if settings.voice_id.casefold().startswith("ar") else "latin"
        pace = round(_WORDS_PER_MINUTE * settings.speed)
        seconds = self._patience_seconds + _PATIENCE_PER_CHARACTER_SECONDS * len(sentence)
        request = {
            "runs": [
                [f"{_BASE_VOICES[kind]}+{variant}", run]
                for kind, run in split_scripts(_as_espeak_reads(sentence), otherwise=otherwise)
            ],
            "words_per_minute": min(max(pace, _SLOWEST), _FASTEST),
            "pitch": pitch,
            "seconds": seconds,
        }
        with self._lock:
            return self._ask(json.dumps(request).encode(), _GRACE * seconds)

    def _ask(self, request: bytes, seconds: float) -> tuple[int, bytes]:
        """Ask the helper; one that turns out dead is replaced once."""
        for _ in range(2):
            if self._closed:
                raise EngineError("the espeak engine was closed")
            if self._helper is None:
                self._helper = _Helper(self._program)
            try:
                return self._helper.sample_rate, self._helper.ask(request, seconds)
            except (EOFError, BrokenPipeError):
                self._drop_helper()
            except TimeoutError as error:
                self._drop_helper()
                raise EngineError("the espeak helper does not answer") from error
        raise EngineError("the espeak helper died twice over one text")

    def _drop_helper(self) -> None:
        if self._helper is not None:
            self._helper.close()
            self._helper = None


def _as_espeak_reads(sentence: str) -> str:
    sentence = _LATE_SHADDA.sub("\u0651\\1", _INNER_TATWEEL.sub("", sentence))
    sentence = _HOW_MANY.sub(lambda found: found[0] if found[1] else "ك\u064eم", sentence)
    return _SEPARATOR.sub(lambda found: _READ_SEPARATORS[found[0]], sentence)


def _blocks(
    resampler: Resampler, pcm: bytes, block_bytes: int, *, last: bool = False
) -> Iterator[bytes]:
    samples = to_floats(pcm)
    data = quantise(resampler.push(samples, last=last))
    for start in range(0, len(data), block_bytes):
        yield data[start : start + block_bytes]


class _Ready(msgspec.Struct):
    sample_rate: int
    error: str


class _Answer(msgspec.Struct):
    error: str


class _Helper:
    """The helper process and the pipes to it; used by one thread at a time."""

    def __init__(self, program: Path) -> None:
        # Isolated, and without our environment: it needs neither packages nor keys.
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(program), *_paths()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
        )
        pipes = (self._process.stdin, self._process.stdout)
        self._pipes = [pipe for pipe in pipes if pipe is not None]
        self._input, self._output = (pipe.fileno() for pipe in self._pipes)
        self._readable = select.poll()  # unlike select(), takes descriptors beyond 1,023
        self._readable.register(self._output, select.POLLIN)
        try:
            ready = msgspec.json.decode(self._frame(time.monotonic() + _START_SECONDS), type=_Ready)
        except (EOFError, TimeoutError) as error:
            self.close()
            raise EngineError("the espeak helper does not start") from error
        if ready.error:
            self.close()
            raise EngineError(ready.error, hint="pip install 'batchjobs[local]'")
        self.sample_rate = ready.sample_rate

    def ask(self, request: bytes, seconds: float) -> bytes:
        """Have a request spoken.

        Raises:
            EngineError: espeak failed on it; the helper goes on.
            EOFError: The helper is dead.
            BrokenPipeError: The helper is dead.
            TimeoutError: No answer in time.
        """
        deadline = time.monotonic() + seconds
        self._write(struct.pack("<I", len(request)) + request)
        pieces: list[bytes] = []
        while piece := self._frame(deadline):
            pieces.append(piece)
        answer = msgspec.json.decode(self._frame(deadline), type=_Answer)
        if answer.error:
            raise EngineError(answer.error)
        return b"".join(pieces)

    def close(self) -> None:
        """End the process."""
        for pipe in self._pipes:
            pipe.close()
        try:
            self._process.wait(_CLOSE_SECONDS if self._process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _frame(self, deadline: float) -> bytes:
        return self._exactly(struct.unpack("<I", self._exactly(4, deadline))[0], deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        pieces: list[bytes] = []
        while count:
            piece = self._read(min(count, _READ_BYTES), deadline)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _read(self, count: int, deadline: float) -> bytes:
        if not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(self._output, count)
        if not piece:
            raise EOFError
        return piece

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._input, view) :]


def _paths() -> list[str]:
    import espeakng_loader

    return [str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())]
