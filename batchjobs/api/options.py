"""What a run can be told, and the ranges of it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.audio.formats import FORMATS
from batchjobs.errors import UsageError
from batchjobs.jobs import Pauses
from batchjobs.manifest import Defaults
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import DEFAULT_PROVIDER, MOST_SESSIONS

__all__ = ["Options", "check", "with_provider"]

_LEAST: Final[Mapping[str, int]] = {
    "concurrency": 0,
    "starts_per_second": 0,
    "attempts": 1,
    "limit": 0,
    "sentence_pause_seconds": 0,
    "paragraph_pause_seconds": 0,
    "grace_seconds": 0,
    "budget": 0,
    "max_characters": 0,
    "max_audio_seconds": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run can be told; the command line's option is named where it differs from the field.

    Attributes:
        output: The run folder; None means ``outputs/<the manifest's stem>``.
        provider: Who does rows that name no provider; empty means `speech.provider`, and the local one
            if that is empty too.
        base_url: Where that provider is, if not where its table says.
        concurrency: Sessions open at once; 0 finds it out; None takes the provider's setting.
        starts_per_second: Sessions started a second; 0 means no limit. ``--rate``
        attempts: Tries a segment has before it counts as failed.
        pace: STT audio sent, times real time; 0 unpaced; None takes the provider's setting.
        encoding: How audio for STT is written: ``compact``, or ``padded`` for less processor time
            and more bytes on the wire.
        compress: Offer the service permessage-deflate: a third of the bytes of STT audio for ten times
            the processor time; without it where the service does not take it.
        preopen: Open connections for the next sessions while the current ones speak. They count:
            half of `concurrency` is then sessions.
        library_hooks: Put faster parts of ours into libraries, where they give the same; False leaves
            the libraries alone, and takes half as much processor time again for STT.
            ``--no-library-hooks``
        audio_format: ``wav``, ``flac``, ``ogg`` or ``mp3`` for rows without ``output``. ``--format``
        retry_failed: Try again what failed for good or is suspect, too.
        replace: Let the manifest replace finished results that another one left in the run folder.
        skip_bad_rows: Record bad rows as failed and run the others.
        limit: Do at most so many rows; None means all.
        sentence_pause_seconds: Silence between segments of a long text, within a paragraph.
            ``--sentence-pause``, in milliseconds
        paragraph_pause_seconds: The same at the end of a paragraph. ``--paragraph-pause``
        vad: Let a detector find the speech in long recordings, in place of the level of the sound.
        grace_seconds: How long open sessions may go on after the first signal. ``--grace``
        budget: Money that may be spent in this folder, over all runs; None means no limit.
        max_characters: Characters that may be sent, over all runs; None means no limit.
        max_audio_seconds: Seconds of audio that may be sent, over all runs; None means no limit.
            ``--max-audio``
        key_file: A file with the provider's key, for its owner only; None takes the environment.
        insecure: Allow unencrypted connections to other machines.
        input_root: Another folder that recordings and text files may be in.
        speech: The manifest's columns that empty cells take. ``--voice``, ``--model``,
            ``--stability``, ``--similarity-boost``, ``--speed``, ``--output-format``
        engine: The local server's engine.
        model_folder: The model of the local server's recogniser.
        faults: What the local server shall do wrong. ``--fault``
        config: The configuration file; None means ``batchjobs.toml`` here, if there is one.
        command: How to call it again, for `status`; empty if there is no such command.
    """

    output: str | Path | None = None
    provider: str = ""
    base_url: str = ""
    concurrency: int | None = None
    starts_per_second: float = 0.0
    attempts: int = 5
    pace: float | None = None
    encoding: str = "compact"
    compress: bool = False
    preopen: bool = False
    library_hooks: bool = True
    audio_format: str = "wav"
    retry_failed: bool = False
    replace: bool = False
    skip_bad_rows: bool = False
    limit: int | None = None
    sentence_pause_seconds: float = 0.0
    paragraph_pause_seconds: float = 0.4
    vad: bool = False
    grace_seconds: float = 30.0
    budget: float | None = None
    max_characters: int | None = None
    max_audio_seconds: float | None = None
    key_file: Path | None = None
    insecure: bool = False
    input_root: Path | None = None
    speech: Defaults = field(default_factory=Defaults)
    engine: str = ""
    model_folder: Path | None = None
    faults: tuple[str, ...] = ()
    config: Path | None = None
    command: str = ""

    @property
    def pauses(self) -> Pauses:
        """The silence between the segments of a long text."""
        return Pauses(
            sentences_seconds=self.sentence_pause_seconds,
            paragraphs_seconds=self.paragraph_pause_seconds,
        )


def with_provider(options: Options) -> Options:
    """Name the provider in both of its places.

    Raises:
        UsageError: They name two.
    """
    given, beside = options.provider, options.speech.provider
    if given and beside and given != beside:
        raise UsageError(
            f"the options name two providers: '{given}', and '{beside}' in speech",
            hint="give one of them; rows may name others in column 'provider'",
        )
    name = given or beside or DEFAULT_PROVIDER
    speech = dataclasses.replace(options.speech, provider=name)
    return dataclasses.replace(options, provider=name, speech=speech)


def check(options: Options) -> None:
    """Refuse what the command line would: after the first purchase is too late.

    Raises:
        UsageError: An option is out of its range.
    """
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and not value >= least:  # nor is what is no number
            raise UsageError(f"the option {name} is {value}", hint=f"give {least} or more")
    if (options.concurrency or 0) > MOST_SESSIONS:
        raise UsageError(
            f"the option concurrency is {options.concurrency}",
            hint=f"give {MOST_SESSIONS} at most",
        )
    if options.audio_format not in FORMATS:
        raise UsageError(
            f"there is no result format '{options.audio_format}'", hint=f"use {', '.join(FORMATS)}"
        )
    if options.compress and not options.library_hooks:
        hint = "leave out one of --compress and --no-library-hooks"
        raise UsageError("--compress needs its hook into trio-websocket", hint=hint)
    if options.encoding not in set(ChunkEncoding):
        known = ", ".join(ChunkEncoding)
        raise UsageError(f"there is no encoding '{options.encoding}'", hint=f"there are {known}")
