"""What `run` and `plan` share: the manifest, the options that say what is to be done."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import click
from click.core import ParameterSource

from batchjobs.audio.formats import FORMATS
from batchjobs.cli.console import told
from batchjobs.cli.next_step import typed
from batchjobs.cli.options import complete_provider, option

if TYPE_CHECKING:
    from batchjobs.api import Options

__all__ = ["MANIFEST", "job_options", "options_from", "source_of"]

_Command = TypeVar("_Command")
_OF_THE_LOCAL_SERVER: Final = frozenset({"engine", "faults", "model_folder"})
_RATES: Final = ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000")

MANIFEST = click.argument("manifest", type=click.Path(path_type=Path, allow_dash=True))


def job_options(command: _Command) -> _Command:
    """The options that `run` and `plan` share."""
    for add in reversed(
        (
            option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                help="Run folder.  [default: outputs/<manifest's stem>]",
            ),
            option(
                "-p",
                "--provider",
                default="local",
                show_default=True,
                shell_complete=complete_provider,
                metavar="NAME",
                help="The service for rows that name none; see 'batchjobs providers'.",
            ),
            option("--voice", default="", metavar="ID", help="Voice for rows without 'voice_id'."),
            option("--model", default="", metavar="ID", help="Model for rows without 'model_id'."),
            option("--stability", type=float, help="0 to 1, for rows without one."),
            option("--similarity-boost", type=float, help="0 to 1, for rows without one."),
            option("--speed", type=float, help="0.7 to 1.2, for rows without one."),
            option(
                "--output-format",
                type=click.Choice(_RATES),
                help="Sample rate asked of the service, for rows without one.",
            ),
            option(
                "--format",
                "audio_format",
                type=click.Choice(list(FORMATS)),
                default="wav",
                show_default=True,
                help="Format of speech whose row gives no 'output'.",
            ),
            option(
                "--input-root",
                type=click.Path(file_okay=False, exists=True, path_type=Path),
                help="Another folder that the rows' recordings and text files may be in.",
            ),
            option(
                "--retry-failed",
                is_flag=True,
                help="Try again what failed for good or is suspect, too; of suspect results the better "
                "is kept.",
            ),
            option(
                "--replace",
                is_flag=True,
                help="Replace finished results that another manifest left in the run folder; without "
                "it that is refused.",
            ),
            option(
                "--skip-bad-rows",
                is_flag=True,
                help="Record rows that cannot be run as failed, and run the others.",
            ),
            option(
                "--limit",
                type=click.IntRange(min=0),
                metavar="N",
                help="Do at most N rows this time; the next run does the others.",
            ),
            option(
                "--sentence-pause",
                "sentence_pause_ms",
                type=click.IntRange(min=0, max=60_000),
                default=0,
                show_default=True,
                metavar="MS",
                help="Silence between the segments of a long text, within a paragraph.",
            ),
            option(
                "--paragraph-pause",
                "paragraph_pause_ms",
                type=click.IntRange(min=0, max=60_000),
                default=400,
                show_default=True,
                metavar="MS",
                help="Silence between segments where a paragraph ends.",
            ),
            option(
                "--engine",
                default="",
                metavar="NAME",
                help="Engine of the local server: auto, espeak, pocketsphinx, tone, sherpa; see "
                "'batchjobs serve --help'.",
            ),
        )
    ):
        command = add(command)
    return command


def options_from(given: Mapping[str, object]) -> "Options":
    """Put the command line's values where the library wants them."""
    from batchjobs.api import Options
    from batchjobs.manifest import Defaults

    _refuse_what_is_for_the_local_server(given)
    values = dict(given)
    speech = Defaults(
        voice_id=str(values.pop("voice") or ""),
        model_id=str(values.pop("model") or ""),
        stability=values.pop("stability"),  # type: ignore[arg-type]
        similarity_boost=values.pop("similarity_boost"),  # type: ignore[arg-type]
        speed=values.pop("speed"),  # type: ignore[arg-type]
        output_format=str(values.pop("output_format") or ""),
    )
    for name in ("sentence_pause", "paragraph_pause"):
        values[f"{name}_seconds"] = int(str(values.pop(f"{name}_ms"))) / 1_000
    if "grace" in values:
        values["grace_seconds"] = values.pop("grace")
    return Options(speech=speech, command=typed(), **values)  # type: ignore[arg-type]


def _refuse_what_is_for_the_local_server(given: Mapping[str, object]) -> None:
    """Refuse options of the local server, typed for a run that starts none."""
    from batchjobs import config

    context = click.get_current_context()
    typed_here = [
        option.opts[0]
        for option in context.command.params
        if option.name in _OF_THE_LOCAL_SERVER
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    with told():
        path = given.get("config")
        known = config.load(path if isinstance(path, Path) else None).providers
    name = str(given["provider"])
    is_elsewhere = name in known and not known[name].engine
    if typed_here and (is_elsewhere or given.get("base_url")):
        where = f"--provider {name}" if is_elsewhere else "--base-url"
        raise click.UsageError(
            f"{' and '.join(typed_here)} {'is' if len(typed_here) == 1 else 'are'} for the local "
            f"server that a run starts; with {where} it starts none"
        )


def source_of(manifest: Path) -> "Path | BinaryIO":
    """Give the manifest as the library takes it: ``-`` is the standard input."""
    return sys.stdin.buffer if str(manifest) == "-" else manifest
