"""What is said in the measured sessions: kinds of session, texts, and what each must come to."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CHUNK_PCM_BYTES",
    "CLOSE",
    "FINAL_BYTES",
    "INIT",
    "MESSAGE_SECONDS",
    "SAMPLE_RATE",
    "TRANSCRIPT",
    "WAV_HEADER_BYTES",
    "Kind",
    "kind_of",
    "speech_messages",
]

SAMPLE_RATE: Final = 24_000
"""Of the speech, in hertz; what is transcribed has 16,000."""
CHUNK_PCM_BYTES: Final = 32_000
"""A second of audio to transcribe."""
WAV_HEADER_BYTES: Final = 44
FINAL_BYTES: Final = 160_000
"""Of audio for each final of the newer socket: five seconds."""
MESSAGE_SECONDS: Final = 0.1
"""Between two messages of a paced session, each as long as that: 10 a second, in real time."""
TRANSCRIPT: Final = "السَّلامُ عَلَيْكُم ورحمة الله وبركاته، this is what was heard"
_FADE_SECONDS: Final = 0.1
_SENTENCE: Final = (
    "يَسْتَطِيعُ المُستَمِعُ أن يَخْتَارَ الصَّوتَ والسُّرعةَ كما يشاء، ثم يحفظ الملفات في مجلد واحد "
    "and listen to all of them later, على الطريق أو في البيت"
)
"""One sentence, so one message, of about ten seconds."""
_PHRASE: Final = "صَبَاحُ الخَيرِ، hello"
_WORD: Final = "نعم"


INIT: Final = {
    "type": "initConnection",
    "model_id": "m",
    "voice_id": "v",
    "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 1.0},
    "output_format": "pcm_24000",
}
CLOSE: Final = {"type": "closeConnection"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of session: the first part of its URL's path, and what it must come to.

    Attributes:
        name: ``tts``, ``stt``, ``listen``, ``talk``, ``tiny``, ``idle``, or ``paced-`` and the number of
            messages.
        is_speech: Whether it is text to speech.
        text: What is spoken; one message.
        messages: Useful messages of the service in one session: audio, or transcripts.
        message_bytes: Samples in a message received, or the WAV file in a message sent; of the newer
            socket, samples for each message received.
        is_paced: Whether the messages come ten a second.
    """

    name: str
    is_speech: bool = True
    text: str = _SENTENCE
    messages: int
    message_bytes: int
    is_paced: bool = False

    @property
    def bytes(self) -> int:
        """Of audio, in one session."""
        return self.messages * self.message_bytes

    @property
    def path(self) -> str:
        """The request's target."""
        if self.name == "listen":
            return "/listen/listen"
        service = "text-to-speech" if self.is_speech else "speech-to-text"
        return f"/{self.name}/websocket/{service}"


def kind_of(name: str) -> Kind:
    """Give a kind of session by its name.

    Raises:
        ValueError: There is no such kind.
    """
    match name.split("-"):
        case ["tts"]:  # 10 s of 24 kHz audio
            return Kind(name=name, messages=20, message_bytes=24_000)
        case ["tiny"]:
            return Kind(name=name, text=_WORD, messages=1, message_bytes=9_600)
        case ["idle"]:  # it answers the first message, and never says anything more
            return Kind(name=name, messages=0, message_bytes=0)
        case ["stt"]:  # 30 s of 16 kHz audio, each second a whole WAV
            size = CHUNK_PCM_BYTES + WAV_HEADER_BYTES
            return Kind(name=name, is_speech=False, text="", messages=30, message_bytes=size)
        case ["listen"]:  # the same 30 s in frames of samples, a final for each 5 s
            return Kind(name=name, is_speech=False, text="", messages=6, message_bytes=FINAL_BYTES)
        case ["talk"]:  # as `stt`, of any length, with a transcript that grows
            return Kind(name=name, is_speech=False, text="", messages=0, message_bytes=0)
        case ["paced", count] if count.isdecimal():
            size = round(MESSAGE_SECONDS * SAMPLE_RATE) * 2
            return Kind(
                name=name, text=_PHRASE, messages=int(count), message_bytes=size, is_paced=True
            )
        case _:
            raise ValueError(f"there is no kind of session named {name!r}")


def speech_messages(kind: Kind) -> list[bytes]:
    """Make the samples of a session's messages: noisy syllables that swell and die away."""
    import numpy as np

    frames = kind.bytes // 2
    seconds = np.arange(frames) / SAMPLE_RATE
    pitch = 2 * np.pi * 120.0 * (seconds + 0.02 * np.sin(2 * np.pi * 0.7 * seconds))
    voice = sum(np.sin(pitch * harmonic) / harmonic for harmonic in range(1, 20))
    noise = np.random.default_rng(5).normal(size=frames)
    syllables = np.sin(2 * np.pi * 2.0 * seconds) ** 2  # four a second, silent at every quarter
    syllables *= np.minimum(1.0, (seconds[::-1] / _FADE_SECONDS))  # it does not break off
    samples = (syllables * (6_000 * voice + 300 * noise)).clip(-32_000, 32_000).astype("<i2")
    pcm = samples.tobytes()
    size = kind.message_bytes
    return [pcm[number * size : (number + 1) * size] for number in range(kind.messages)]
