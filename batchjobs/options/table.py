"""The table of settings: command line, environment, file, checks and documents are made from it."""

from dataclasses import dataclass, field
from pathlib import Path

from batchjobs.audio.formats import FORMATS
from batchjobs.options.parse import MOST_SESSIONS, parse_rate, parse_sessions
from batchjobs.options.setting import Setting, describe
from batchjobs.speech import OUTPUT_FORMATS

__all__ = ["Defaults", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for rows that leave a column empty; None and an empty text are the provider's own.

    Besides what the command line has there is `provider`, its name; empty for the local one.
    """

    provider: str = ""
    voice_id: str = field(
        default="",
        metadata=Setting(
            help="Voice for rows without 'voice_id'.", flag="--voice", metavar="ID", is_planned=True
        ),
    )
    model_id: str = field(
        default="",
        metadata=Setting(
            help="Model for rows without 'model_id'.", flag="--model", metavar="ID", is_planned=True
        ),
    )
    stability: float | None = field(
        default=None, metadata=Setting(help="0 to 1, for rows without one.", is_planned=True)
    )
    similarity_boost: float | None = field(
        default=None, metadata=Setting(help="0 to 1, for rows without one.", is_planned=True)
    )
    speed: float | None = field(
        default=None, metadata=Setting(help="0.7 to 1.2, for rows without one.", is_planned=True)
    )
    output_format: str = field(
        default="",
        metadata=Setting(
            help="Sample rate asked of the service, for rows without one.",
            choices=OUTPUT_FORMATS,
            is_planned=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run can be told; the command line's options, in their order.

    Besides them there are `speech`, what holds for rows that leave a column empty, and `command`, how
    to call the run again, for `status`; empty if there is no such command.
    """

    output: str | Path | None = field(
        default=None,
        metadata=Setting(
            help="Run folder.",
            short="-o",
            default_shown="outputs/<manifest's stem>",
            is_planned=True,
        ),
    )
    provider: str = field(
        default="",
        metadata=Setting(
            help="The service for rows that name none; see 'batchjobs providers'.",
            short="-p",
            metavar="NAME",
            default_shown="local",
            note="empty means `speech.provider`, and the local one if that is empty too",
            is_planned=True,
        ),
    )
    speech: Defaults = field(default_factory=Defaults)
    audio_format: str = field(
        default="wav",
        metadata=Setting(
            help="Format of speech whose row gives no 'output'.",
            flag="--format",
            choices=tuple(FORMATS),
            noun="result format",
            is_planned=True,
        ),
    )
    input_root: Path | None = field(
        default=None,
        metadata=Setting(
            help="Another folder that the rows' recordings and text files may be in.",
            path="folder",
            is_planned=True,
        ),
    )
    retry_failed: bool = field(
        default=False,
        metadata=Setting(
            help="Try again what failed for good or is suspect, too; of suspect results the better "
            "is kept.",
            is_planned=True,
        ),
    )
    replace: bool = field(
        default=False,
        metadata=Setting(
            help="Replace finished results that another manifest left in the run folder; without it "
            "that is refused.",
            is_planned=True,
        ),
    )
    skip_bad_rows: bool = field(
        default=False,
        metadata=Setting(
            help="Record rows that cannot be run as failed, and run the others.", is_planned=True
        ),
    )
    limit: int | None = field(
        default=None,
        metadata=Setting(
            help="Do at most N rows this time; the next run does the others.",
            metavar="N",
            least=0,
            is_planned=True,
        ),
    )
    sentence_pause_seconds: float = field(
        default=0.0,
        metadata=Setting(
            help="Silence between the segments of a long text, within a paragraph.",
            flag="--sentence-pause",
            metavar="MS",
            scale=1_000,
            least=0,
            most=60,
            note="in seconds",
            is_planned=True,
        ),
    )
    paragraph_pause_seconds: float = field(
        default=0.4,
        metadata=Setting(
            help="Silence between segments where a paragraph ends.",
            flag="--paragraph-pause",
            metavar="MS",
            scale=1_000,
            least=0,
            most=60,
            note="in seconds",
            is_planned=True,
        ),
    )
    engine: str = field(
        default="",
        metadata=Setting(
            help="Engine of the local server: auto, espeak, pocketsphinx, tone, sherpa; see "
            "'batchjobs serve --help'.",
            metavar="NAME",
            is_planned=True,
            is_local=True,
        ),
    )
    config: Path | None = field(
        default=None,
        metadata=Setting(
            help="Configuration file.",
            path="file",
            default_shown="batchjobs.toml here, if there is one",
            is_planned=True,
        ),
    )
    base_url: str = field(
        default="",
        metadata=Setting(
            help="Where --provider is, if not where its settings say: wss://HOST/api/v1.",
            metavar="URL",
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=Setting(
            help="Sessions open at once; 'auto' finds out how many the service takes.",
            short="-c",
            metavar="N|auto",
            least=0,
            most=MOST_SESSIONS,
            parse=parse_sessions,
            default_shown="the provider's",
            note="0 stands for 'auto'",
        ),
    )
    starts_per_second: float = field(
        default=0.0,
        metadata=Setting(
            help="Start no more sessions than so many a second, or a minute.",
            flag="--rate",
            metavar="N/s|N/min",
            least=0,
            parse=parse_rate,
            note="0 means no limit",
        ),
    )
    attempts: int = field(
        default=5,
        metadata=Setting(help="Tries a job has before it counts as failed.", metavar="N", least=1),
    )
    pace: float | None = field(
        default=None,
        metadata=Setting(
            help="How fast recordings are sent: 1 is real time, 4 four times as fast, 0 as fast as "
            "the line takes them.",
            metavar="X",
            least=0,
            default_shown="the provider's",
        ),
    )
    encoding: str = field(
        default="compact",
        metadata=Setting(
            help="How recordings are written into messages: 'padded' takes a fifth of the processor "
            "time and 21 % more bytes than 'compact', for fast lines and busy machines.",
            choices=("compact", "padded"),
            noun="encoding",
        ),
    )
    compress: bool = field(
        default=False,
        metadata=Setting(
            help="Compress what is sent, where the service takes it (permessage-deflate): recordings "
            "take a third of the bytes, for thin lines, and 0.7 ms more processor time for each "
            "second of audio.",
        ),
    )
    preopen: bool = field(
        default=False,
        metadata=Setting(
            help="Open the next session's connection while the current one is at work: saves the "
            "round trips to a service far away. It counts as a connection: of --concurrency N, N/2 "
            "are sessions.",
        ),
    )
    library_hooks: bool = field(
        default=True,
        metadata=Setting(
            help="Let faster parts of ours work within the WebSocket library, where a check at the "
            "start finds that they do the same; without them STT takes half as much processor time "
            "again.",
            default_shown="yes",
        ),
    )
    grace_seconds: float = field(
        default=30.0,
        metadata=Setting(
            help="How long open sessions may go on after Ctrl-C.",
            flag="--grace",
            metavar="SECONDS",
            least=0,
        ),
    )
    budget: float | None = field(
        default=None,
        metadata=Setting(
            help="Spend at most so much in this run folder, over all runs, in the provider's "
            "currency.",
            metavar="MONEY",
            least=0,
            is_planned=True,
        ),
    )
    max_characters: int | None = field(
        default=None,
        metadata=Setting(
            help="Send at most N characters, over all runs in this folder.", metavar="N", least=0
        ),
    )
    max_audio_seconds: float | None = field(
        default=None,
        metadata=Setting(
            help="Send at most so many seconds of recordings, over all runs in this folder.",
            flag="--max-audio",
            metavar="SECONDS",
            least=0,
        ),
    )
    key_file: Path | None = field(
        default=None,
        metadata=Setting(
            help="File with the provider's key, readable by you only.",
            path="file",
            default_shown="the environment",
        ),
    )
    vad: bool = field(
        default=False,
        metadata=Setting(
            help="Find the speech in long recordings by a detector, not by loudness; needs the extra "
            "'vad'.",
        ),
    )
    insecure: bool = field(
        default=False,
        metadata=Setting(
            help="Allow ws:// to other machines: the key and all else travel in plain text.",
        ),
    )
    model_folder: Path | None = field(
        default=None,
        metadata=Setting(
            help="The local server's recognition model, for --engine sherpa.",
            path="folder",
            is_local=True,
        ),
    )
    faults: tuple[str, ...] = field(
        default=(),
        metadata=Setting(
            help="Make the local server misbehave, to rehearse; see 'batchjobs serve --help'.",
            flag="--fault",
            metavar="SPEC",
            is_local=True,
        ),
    )
    command: str = ""

    @property
    def pause_layout(self) -> str:
        """How a file put together with these pauses is told from others of the same text."""
        return f"pauses {self.sentence_pause_seconds:g} {self.paragraph_pause_seconds:g}"


for _record in (Defaults, Options):
    _record.__doc__ = describe(_record)
