"""The table of settings: command line, environment, file, checks and documents are made from it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.audio.formats import FORMATS
from batchjobs.errors import PYTHON_NAMES, ConfigurationError
from batchjobs.files.address import Address, is_address, refuse_mistake
from batchjobs.options.setting import describe, name_for_python, setting
from batchjobs.speech import DIALECTS, HTTP_OUTPUT_FORMATS, Channels

MOST_SESSIONS: Final = 10_000
"""Open at once with one provider: each has a task that waits for it."""
MOST_WORKERS: Final = 256
"""Processes on one machine: each has a Python of its own."""
_SECONDS_PER_UNIT: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_sessions(text: str) -> int:
    """Read a number of sessions, or ``auto``, which is 0.

    Raises:
        ValueError: Anything else.
    """
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SESSIONS:
        raise ValueError(
            f"'{text}' is not a number of sessions; give 1 to {MOST_SESSIONS}, or auto"
        )
    return int(text)


def parse_workers(text: str) -> int:
    """Read a number of processes, or ``auto``, which is 0: as many as there are processors.

    Raises:
        ValueError: Anything else.
    """
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise ValueError(f"'{text}' is not a number of workers; give 1 to {MOST_WORKERS}, or auto")
    return int(text)


def parse_output(text: str) -> str | Path:
    """Read where a run is to be: a folder, or a place in a bucket.

    Raises:
        UsageError: It is no such place.
    """
    refuse_mistake(text)
    return str(Address.parse(text)) if is_address(text) else Path(text)


def parse_rate(text: str) -> float:
    """Read ``10/s``, ``300/min`` or ``5000/h`` as sessions a second.

    Raises:
        ConfigurationError: Anything else.
    """
    number, _, unit = text.partition("/")
    try:
        per_second = float(number) / _SECONDS_PER_UNIT[unit.strip()]
    except (ValueError, KeyError):
        per_second = -1.0
    if not 0 < per_second < 1e6:
        raise ConfigurationError(f"'{text}' is not a rate", hint="give N/s, N/min or N/h: 5/s")
    return per_second


def parse_share(text: str) -> float:
    """Read ``1%`` as 0.01.

    Raises:
        ConfigurationError: Anything that is no percentage above 0 and up to 100.
    """
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not text.strip().endswith("%") or not 0 < share <= 1:
        raise ConfigurationError(f"'{text}' is no percentage", hint="give one up to 100%: 1%")
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for rows that leave a column empty; None and an empty text are the provider's own.

    Besides what the command line has there is `provider`, its name; empty for the local one.
    """

    provider: str = ""
    voice_id: str = setting(
        "Voice for rows without 'voice_id'.",
        default="",
        flag="--voice",
        metavar="ID",
        is_planned=True,
    )
    model_id: str = setting(
        "Model for rows without 'model_id'.",
        default="",
        flag="--model",
        metavar="ID",
        is_planned=True,
    )
    stability: float | None = setting(
        "0 to 1, for rows without one.", default=None, is_planned=True
    )
    similarity_boost: float | None = setting(
        "0 to 1, for rows without one.", default=None, is_planned=True
    )
    speed: float | None = setting(
        "0.7 to 1.2, for rows without one.", default=None, is_planned=True
    )
    output_format: str = setting(
        "Sample rate asked of the service, for rows without one.",
        default="",
        choices=HTTP_OUTPUT_FORMATS,
        is_planned=True,
    )
    dialect: str = setting(
        "Dialect asked of the service, for rows without one; for providers with tts_transport = "
        '"http".',
        default="",
        choices=DIALECTS,
        is_planned=True,
    )
    hotwords: str = setting(
        "Words to expect in recordings, for rows without any; at most 200, with commas between them.",
        default="",
        metavar="WORD,...",
        is_planned=True,
    )
    hotwords_file: Path | None = setting(
        "File with more of them, a line each.",
        default=None,
        path="file",
        is_planned=True,
    )
    channels: str = setting(
        "Which channels of recordings are heard, for rows without 'channels': all of them as one, each "
        "apart (the sides of a call, with who says what), or one.",
        default="",
        choices=tuple(each.value for each in Channels),
        noun="way to hear channels",
        default_shown=Channels.MIX.value,
        is_planned=True,
    )
    channel_names: str = setting(
        "Who is on each channel, with commas between them, for rows without 'channel_names'.",
        default="",
        metavar="NAMES",
        default_shown="Left,Right",
        is_planned=True,
    )
    track: int | None = setting(
        "Which audio track of films is heard, from 1, for rows without 'track'.",
        default=None,
        metavar="N",
        default_shown="the default one",
        is_planned=True,
    )

    @property
    def hearing_columns(self) -> dict[str, object]:
        """What is said of recordings, as a row would say it."""
        return {
            "channels": self.channels,
            "channel_names": self.channel_names,
            "track": self.track,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run a manifest; the command line's options, in their order.

    Besides them there are `speech`, what holds for rows that leave a column empty, and `command`, how
    to call the run again, for `status`; empty if there is no such command.
    """

    output: str | Path | None = setting(
        "Run folder; or a place in a bucket, s3://BUCKET/FOLDER, where results go instead.",
        default=None,
        short="-o",
        metavar="PATH",
        parse=parse_output,
        default_shown="outputs/<manifest's stem>",
        is_planned=True,
    )
    work_folder: Path | None = setting(
        "Run folder of a run whose results go to a bucket: for its checkpoint, and what is being written.",
        default=None,
        default_shown="outputs/<the last part of --output>",
        is_planned=True,
    )
    take_over: bool = setting(
        "Go on with a run in a bucket that another run folder began; that one writes nothing more.",
        default=False,
    )
    provider: str = setting(
        "The service for rows that name none; see 'batchjobs providers'.",
        default="",
        short="-p",
        metavar="NAME",
        default_shown="local",
        note="empty means `speech.provider`, and the local one if that is empty too",
        is_planned=True,
    )
    speech: Defaults = field(default_factory=Defaults)
    audio_format: str = setting(
        "Format of speech whose row gives no 'output'.",
        default="wav",
        flag="--format",
        choices=tuple(FORMATS),
        noun="result format",
        is_planned=True,
    )
    input_root: str | Path | None = setting(
        "Another folder, or place in a bucket (s3://…), that the rows' recordings and text files may be in.",
        default=None,
        path="folder",
        in_bucket=True,
        is_planned=True,
    )
    retry_failed: bool = setting(
        "Try again what failed for good or is suspect, too; of suspect results the better is kept.",
        default=False,
        is_planned=True,
    )
    replace: bool = setting(
        "Replace finished results that another manifest left in the run folder; without it "
        "that is refused.",
        default=False,
        is_planned=True,
    )
    skip_bad_rows: bool = setting(
        "Record rows that cannot be run as failed, and run the others.",
        default=False,
        is_planned=True,
    )
    limit: int | None = setting(
        "Do at most N rows this time; the next run does the others.",
        default=None,
        metavar="N",
        least=0,
        is_planned=True,
    )
    pilot: float = setting(
        "Do only so much of the rows, a sample over voices and lengths, and say what all of them "
        "would cost, how long they would take, and how many would be bad.",
        default=0.0,
        metavar="PERCENT",
        least=0,
        most=1,
        parse=parse_share,
        note="a share from 0 to 1; 0 means all rows",
        is_planned=True,
    )
    select: str = setting(
        "Do only the texts that a choice takes; 'coverage' takes those that hold the most letter pairs "
        "(with their marks), then the most words, that the others do not hold, for each voice, "
        "within --budget or --max-characters.",
        default="all",
        choices=("all", "coverage"),
        noun="way to select",
        is_planned=True,
    )
    sentence_pause_seconds: float = setting(
        "Silence between the segments of a long text, within a paragraph.",
        default=0.0,
        flag="--sentence-pause",
        metavar="MS",
        scale=1_000,
        least=0,
        most=60,
        note="in seconds",
        is_planned=True,
    )
    paragraph_pause_seconds: float = setting(
        "Silence between segments where a paragraph ends.",
        default=0.4,
        flag="--paragraph-pause",
        metavar="MS",
        scale=1_000,
        least=0,
        most=60,
        note="in seconds",
        is_planned=True,
    )
    engine: str = setting(
        "Engine of the local server: auto, espeak, pocketsphinx, tone, sherpa; see "
        "'batchjobs serve --help'.",
        default="",
        metavar="NAME",
        is_planned=True,
        is_local=True,
    )
    config: Path | None = setting(
        "Configuration file.",
        default=None,
        path="file",
        default_shown="batchjobs.toml here, if there is one",
        is_planned=True,
    )
    base_url: str = setting(
        "Where --provider is, if not where its settings say: wss://HOST/api/v1.",
        default="",
        metavar="URL",
    )
    concurrency: int | None = setting(
        "Sessions open at once; 'auto' finds out how many the service takes.",
        default=None,
        short="-c",
        metavar="N|auto",
        least=0,
        most=MOST_SESSIONS,
        parse=parse_sessions,
        default_shown="the provider's",
        note="0 stands for 'auto'",
    )
    workers: int | None = setting(
        "Have the sessions in N processes of this machine; 'auto' takes one a processor. Needs the extra "
        "'cluster'.",
        default=None,
        metavar="N|auto",
        least=0,
        most=MOST_WORKERS,
        parse=parse_workers,
        default_shown="this process",
        note="0 stands for 'auto'",
    )
    cluster: str = setting(
        "Have them on the workers of a Dask cluster, whose scheduler is there: tls://HOST:PORT, or "
        "tcp://127.0.0.1:PORT.",
        default="",
        metavar="ADDRESS",
    )
    cluster_ca: Path | None = setting(
        "The cluster's certificate authority, for tls://.",
        default=None,
        path="file",
    )
    cluster_cert: Path | None = setting(
        "Our certificate there.",
        default=None,
        path="file",
    )
    cluster_key: Path | None = setting(
        "Our certificate's key.",
        default=None,
        path="file",
    )
    starts_per_second: float = setting(
        "Start no more sessions than so many a second, or a minute.",
        default=0.0,
        flag="--rate",
        metavar="N/s|N/min",
        least=0,
        parse=parse_rate,
        note="0 means no limit",
    )
    attempts: int = setting(
        "Tries a job has before it counts as failed.", default=5, metavar="N", least=1
    )
    pace: float | None = setting(
        "How fast recordings are sent: 1 is real time, 4 four times as fast, 0 as fast as "
        "the line takes them.",
        default=None,
        metavar="X",
        least=0,
        default_shown="the provider's",
    )
    encoding: str = setting(
        "How recordings are written into messages: 'padded' takes a fifth of the processor "
        "time and 21 % more bytes than 'compact', for fast lines and busy machines.",
        default="compact",
        choices=("compact", "padded"),
    )
    compress: bool = setting(
        "Compress what is sent, where the service takes it (permessage-deflate): recordings "
        "take a third of the bytes, for thin lines, and 0.7 ms more processor time for each "
        "second of audio.",
        default=False,
    )
    preopen: bool = setting(
        "Open the next session's connection while the current one is at work: saves the "
        "round trips to a service far away. It counts as a connection: of --concurrency N, N/2 "
        "are sessions.",
        default=False,
    )
    library_hooks: bool = setting(
        "Let faster parts of ours work within the WebSocket library, where a check at the "
        "start finds that they do the same; without them STT takes half as much processor time "
        "again.",
        default=True,
        default_shown="yes",
    )
    grace_seconds: float = setting(
        "How long open sessions may go on after Ctrl-C.",
        default=30.0,
        flag="--grace",
        metavar="SECONDS",
        least=0,
    )
    budget: float | None = setting(
        "Spend at most so much in this run folder, over all runs, in the provider's currency.",
        default=None,
        metavar="MONEY",
        least=0,
        is_planned=True,
    )
    max_characters: int | None = setting(
        "Send at most N characters, over all runs in this folder.",
        default=None,
        metavar="N",
        least=0,
        is_planned=True,
    )
    max_audio_seconds: float | None = setting(
        "Send at most so many seconds of recordings, over all runs in this folder.",
        default=None,
        flag="--max-audio",
        metavar="SECONDS",
        least=0,
    )
    at_limit: str = setting(
        "What to do once --budget, --max-characters or --max-audio has no room: 'end', or 'wait' until "
        "'batchjobs ctl' raises it.",
        default="end",
        choices=("end", "wait"),
        noun="way to meet a limit",
    )
    max_cost_per_row: float | None = setting(
        "Buy no row that would cost more than so much, in its provider's currency, attempts that "
        "fail not counted; it fails, until a run has a higher limit.",
        default=None,
        metavar="MONEY",
        least=0,
        is_planned=True,
    )
    glossary: Path | None = setting(
        "Terms, one a line: what they were heard as in the transcripts is listed after the run.",
        default=None,
        path="file",
    )
    key_file: Path | None = setting(
        "File with the provider's key, readable by you only.",
        default=None,
        path="file",
        default_shown="the environment",
    )
    notify: str = setting(
        "Post a signed message there when a run ends and when something needs a person; the secret is in "
        "BATCHJOBS_NOTIFY_SECRET.",
        default="",
        metavar="URL",
    )
    metrics: Path | None = setting(
        "File to write how the run stands to, every few seconds, in Prometheus' text form.",
        default=None,
        default_shown="none",
        metavar="FILE",
    )
    tell_sessions: bool = setting(
        "With --json, tell of each session too: a record 'launched' as it opens, and one 'done'.",
        default=False,
    )
    vad: bool = setting(
        "Find the speech in long recordings by a detector, not by loudness; needs the extra 'vad'.",
        default=False,
    )
    insecure: bool = setting(
        "Allow ws:// to other machines: the key and all else travel in plain text.", default=False
    )
    model_folder: Path | None = setting(
        "The local server's recognition model, for --engine sherpa.",
        default=None,
        path="folder",
        is_local=True,
    )
    faults: tuple[str, ...] = setting(
        "Make the local server misbehave, to rehearse; see 'batchjobs serve --help'.",
        default=(),
        flag="--fault",
        metavar="SPEC",
        is_local=True,
    )
    command: str = ""

    @property
    def spending_limits(self) -> tuple[float, float, float]:
        """What may be spent in money, characters and seconds of audio; infinity for no limit."""
        limits = (self.budget, self.max_characters, self.max_audio_seconds)
        money, characters, seconds = (math.inf if limit is None else limit for limit in limits)
        return money, characters, seconds

    @property
    def pause_layout(self) -> str:
        """What distinguishes a file put together with these pauses from others of its text."""
        return f"pauses {self.sentence_pause_seconds:g} {self.paragraph_pause_seconds:g}"


for _record in (Defaults, Options):
    _record.__doc__ = describe(_record)
    PYTHON_NAMES.update(name_for_python(_record))
