"""The settings of an exported dataset, for the command `export` and for Python."""

from dataclasses import dataclass

from batchjobs.audio.formats import FORMATS
from batchjobs.options.setting import describe, setting

DATASET_FORMS = ("hf", "parquet", "webdataset", "lhotse", "nemo", "ljspeech")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What of a run's results goes into a dataset, and in which form."""

    form: str = setting(
        "What will load it: Hugging Face datasets (a folder of clips), Parquet with the sound inside, "
        "WebDataset, Lhotse, NeMo, or what reads LJ Speech.",
        default="hf",
        flag="--to",
        choices=DATASET_FORMS,
    )
    split: str = setting(
        "Shares of the rows, by a hash of the text: equal texts are always in one split, and new rows "
        "move none.",
        default="",
        metavar="NAME=SHARE,...",
        default_shown="all in 'train'",
    )
    disjoint: str = setting(
        "'voice': no voice is in two splits either.",
        default="text",
        choices=("text", "voice"),
    )
    include: tuple[str, ...] = setting(
        "Results that are left out otherwise; may be given several times.",
        default=(),
        choices=("suspect", "rejected", "dropped"),
    )
    verdicts: tuple[str, ...] = setting(
        "Only what 'check' found to be so; may be given several times.",
        default=(),
        flag="--verdict",
        choices=("good", "bad", "inconclusive", "scored"),
    )
    min_seconds: float = setting(
        "The shortest clip.", default=0.0, metavar="SECONDS", least=0, most=86_400
    )
    max_seconds: float = setting(
        "The longest clip.",
        default=0.0,
        metavar="SECONDS",
        least=0,
        most=86_400,
        default_shown="as long as they are",
    )
    audio_format: str = setting(
        "Format of the clips.",
        default="",
        flag="--format",
        choices=tuple(FORMATS),
        default_shown="as they are, if the form takes them",
    )
    sample_rate: int = setting(
        "Sample rate of the clips.",
        default=0,
        metavar="HZ",
        least=0,
        most=192_000,
        default_shown="as they are",
    )
    trim: bool = setting("Cut off the silence before and after speech.", default=False)
    loudness_lufs: float | None = setting(
        "Bring every clip to this loudness (EBU R 128).",
        default=None,
        flag="--loudness",
        metavar="LUFS",
        least=-60,
        most=-8,
    )
    link: str = setting(
        "Link to the run's files instead of copying them: what changes one changes the other.",
        default="",
        choices=("hard", "symbolic"),
        default_shown="copies",
    )
    shard_megabytes: int = setting(
        "Size of a file that holds many clips.",
        default=500,
        flag="--shard-size",
        metavar="MB",
        least=1,
        most=100_000,
    )
    is_shar: bool = setting(
        "With --to lhotse: shards with the sound inside.", default=False, flag="--shar"
    )
    language: str = setting(
        "Of rows without a column 'language' or 'lang'.",
        default="",
        metavar="CODE",
        default_shown="by the script: ar or en",
    )


ExportSettings.__doc__ = describe(ExportSettings)
