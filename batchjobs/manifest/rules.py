"""What makes a row a job: every column's rule, with what to do about a breach."""

import difflib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from batchjobs.errors import UsageError
from batchjobs.files.address import Address
from batchjobs.jobs import BadRow, Hearing, Job, Kind, SpeechSettings, derive_id
from batchjobs.manifest.cells import (
    NUMBER_RANGES,
    VOICE_COLUMNS,
    Cells,
    VoiceCells,
    check_range,
    convert_row,
    convert_voice,
    is_blank,
    is_speakable,
    raise_first,
    shorten,
)
from batchjobs.manifest.columns import SOURCES, RowError, find_near_columns
from batchjobs.manifest.groups import find_part
from batchjobs.manifest.hearing import HEARING_COLUMNS, convert_hearing
from batchjobs.manifest.hotwords import check_hotwords, read_hotwords
from batchjobs.manifest.inputs import Inputs
from batchjobs.manifest.notes import SPREADSHEET_ERRORS, Notes, Oddity, find_control
from batchjobs.manifest.output_rules import check_output
from batchjobs.options import Defaults
from batchjobs.providers import DEFAULT_PROVIDER, Provider
from batchjobs.speech import (
    DEFAULT_OUTPUT_FORMAT,
    DEFAULT_SIMILARITY_BOOST,
    DEFAULT_SPEED,
    DEFAULT_STABILITY,
    DIALECTS,
    HTTP_OUTPUT_FORMATS,
)
from batchjobs.storage.input_files import InputFiles

_Item = TypeVar("_Item")
_ONE_SOURCE = "give exactly one of text, text_file and audio"
_VOICES_REMEMBERED = 1_000
_REMEMBERED_CHARACTERS = 1_000
_READ_AHEAD = 16
_VOICE_COLUMNS = tuple(column for column in VOICE_COLUMNS if column != "dialect")


class Manner(NamedTuple):
    """How a row is to be spoken, and by whom: what many rows have in common.

    Attributes:
        provider: The provider's name.
        speech: How.
        take: The number of the take.
    """

    provider: str
    speech: SpeechSettings
    take: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that a row is judged by.

    A row's cells are converted once; then they are judged column by column. Only a row with a mistake
    is looked at again, for all the others.

    Attributes:
        folder: What relative paths are relative to.
        input_root: A second place for inputs, tried after `folder`.
        files: Reads what of these is in a bucket.
        providers: The providers, by name.
        defaults: What holds where a row says nothing.
        notes: Gets what is odd about rows that are good.

    Raises:
        UsageError: One of the defaults is out of its range.
    """

    folder: Path | Address
    input_root: Path | Address | None
    files: InputFiles = field(repr=False, compare=False, default_factory=InputFiles)
    providers: Mapping[str, Provider]
    defaults: Defaults
    notes: Notes = field(repr=False, compare=False, default_factory=Notes)
    _inputs: Inputs = field(init=False, repr=False, compare=False)
    _hotwords: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _voices: dict[object, SpeechSettings] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Judge the defaults before any row does."""
        inputs = Inputs(folder=self.folder, input_root=self.input_root, files=self.files)
        object.__setattr__(self, "_inputs", inputs)
        try:
            for column in NUMBER_RANGES:
                number = getattr(self.defaults, column)
                if number is not None:
                    check_range(number, column)
            _check_format(self.defaults.output_format or DEFAULT_OUTPUT_FORMAT, HTTP_OUTPUT_FORMATS)
            _check_dialect(self.defaults.dialect)
            hotwords = read_hotwords(self.defaults.hotwords)
            object.__setattr__(self, "_hotwords", hotwords)
            convert_hearing(self.defaults.hearing_columns, Defaults())
        except RowError as error:
            message = f"the default for '{error.column}': {error.message}"
            raise UsageError(message, hint=error.hint) from error

    def look_ahead(self, rows: Iterable[_Item]) -> Iterator[_Item]:
        """Hand rows on as they are; what they name in a bucket is read for several at once."""
        iterator = iter(rows)
        while batch := list(itertools.islice(iterator, _READ_AHEAD)):
            cells = (item[1].get("text_file") for item in batch if isinstance(item, tuple))
            self._inputs.read_ahead([cell for cell in cells if cell and isinstance(cell, str)])
            yield from batch

    @property
    def looks_ahead(self) -> bool:
        """Whether there is anything to look ahead for."""
        return self._inputs.reads_ahead

    def judge(self, line: int, row: Mapping[str, object]) -> Job | BadRow:
        """Make a row a job, or say what is wrong with it.

        Args:
            line: Where it starts in the manifest.
            row: Column to value.
        """
        cells = convert_row(row)
        job_id = cells.id or derive_id(row)
        self.notes.look_at_id(cells.id, line)
        try:
            raise_first(cells.errors, "id", *SOURCES)
            source = _source(cells)
            if source == "audio":
                return self._transcription(line, row, cells, job_id)
            return self._synthesis(line, row, cells, job_id, source)
        except RowError as error:
            further = self._find_further(error, row, cells)
            return error.to_bad_row(line, job_id, row, further=further)

    def find_manner(self, row: Mapping[str, object]) -> Manner | None:
        """Judge what rows have in common that are alike but in their ids, texts and outputs.

        Args:
            row: One of them, without these.

        Returns:
            None if they are not spoken, or if anything is wrong, or odd, about them.
        """
        cells = convert_row(row)
        if cells.errors or cells.text_file or cells.audio:
            return None
        try:
            provider = self._provider(cells, Kind.TTS)
            speech = self._speech(row, provider)
        except RowError:
            return None
        is_noted = _has_unused_dialect(row, provider)
        return None if is_noted else Manner(provider.name, speech, cells.take)

    def _find_further(
        self, first: RowError, row: Mapping[str, object], cells: Cells
    ) -> list[RowError]:
        """Find what else is wrong with a row, so that it need not be mended twice."""
        found = {(first.column, first.message): first}
        for check in self._checks(row, cells):
            try:
                check()
            except RowError as error:
                found.setdefault((error.column, error.message), error)
        return list(found.values())[1:]

    def _checks(self, row: Mapping[str, object], cells: Cells) -> Iterator[Callable[[], object]]:
        """List what a row is judged by, each apart from the others."""
        for column in cells.errors:
            yield functools.partial(raise_first, cells.errors, column)
        try:
            source = _source(cells)
        except RowError:  # it is the first mistake, and what kind of job it is stays open
            return
        kind = Kind.STT if source == "audio" else Kind.TTS
        yield functools.partial(self._provider, cells, kind)
        yield functools.partial(_output, cells, kind)
        if kind is Kind.STT:
            yield functools.partial(self._inputs.find, cells.audio, source)
            yield functools.partial(self._find_hotwords, row, cells)
            for column in HEARING_COLUMNS:
                yield functools.partial(self._hearing, {column: row.get(column)})
            return
        yield functools.partial(self._text, cells, source)
        voice = convert_voice(row)
        for column in (name for name in voice.errors if name != "dialect"):
            yield functools.partial(raise_first, voice.errors, column)
        yield functools.partial(self._check_way, cells, voice)

    def _note_what_is_not_read(self, line: int, row: Mapping[str, object]) -> None:
        """Note cells that say nothing to us and were perhaps meant to; a number is a fact of the data."""
        for name in find_near_columns(tuple(row)):
            value = row[name]
            if isinstance(value, str) and value.strip() and not value.strip().isdecimal():
                self.notes.add(Oddity.NEAR_COLUMN, line, name)
        if row.get("group") and row.get("part"):
            found = find_part(row)
            if found is not None and not found.part:
                self.notes.add(Oddity.PART_UNREAD, line, str(row["part"]))

    def _transcription(
        self, line: int, row: Mapping[str, object], cells: Cells, job_id: str
    ) -> Job | BadRow:
        provider = self._provider(cells, Kind.STT)
        output = _output(cells, Kind.STT)
        hotwords = self._find_hotwords(row, cells)
        self._note_what_is_not_read(line, row)
        missing: RowError | None = None
        try:
            audio = self._inputs.find(cells.audio, "audio")
        except RowError as error:
            missing, audio = error, self._inputs.place_of(cells.audio)
            if "reference" in cells.errors:
                raise
        raise_first(cells.errors, "reference")
        hearing = self._hearing(row)
        job = Job(
            id=job_id,
            id_is_derived=not cells.id,
            line=line,
            kind=Kind.STT,
            provider=provider.name,
            output=output,
            audio=audio,
            hotwords=hotwords,
            hearing=hearing,
            reference=cells.reference,
            row=row,
        )
        return job if missing is None else missing.to_bad_row(line, job_id, row, job=job)

    def _synthesis(
        self, line: int, row: Mapping[str, object], cells: Cells, job_id: str, source: str
    ) -> Job:
        provider = self._provider(cells, Kind.TTS)
        speech = self._speech(row, provider)
        if _has_unused_dialect(row, provider):
            self.notes.add(Oddity.DIALECT_UNUSED, line, str(row["dialect"]))
        text = self._text(cells, source)
        output = _output(cells, Kind.TTS)
        raise_first(cells.errors, "take")
        if control := find_control(text):
            self.notes.add(Oddity.CONTROL_CHARACTER, line, control)
        return Job(
            id=job_id,
            id_is_derived=not cells.id,
            line=line,
            kind=Kind.TTS,
            provider=provider.name,
            text=text,
            speech=speech,
            output=output,
            take=cells.take,
            row=row,
        )

    def _find_hotwords(self, row: Mapping[str, object], cells: Cells) -> tuple[str, ...]:
        """Give the words to expect in a recording: the row's own, or else those of all."""
        own = read_hotwords(row.get("hotwords"))
        return check_hotwords(own or self._hotwords, self._provider(cells, Kind.STT))

    def _hearing(self, row: Mapping[str, object]) -> Hearing:
        return convert_hearing(row, self.defaults)

    def _text(self, cells: Cells, source: str) -> str:
        text = cells.text
        if source == "text_file":
            text = self._inputs.read_text(cells.text_file)
        _check_text(text, source)
        return text

    def _provider(self, cells: Cells, kind: Kind) -> Provider:
        raise_first(cells.errors, "provider")
        name = cells.provider or self.defaults.provider or DEFAULT_PROVIDER
        provider = self.providers.get(name)
        if provider is None:
            close = difflib.get_close_matches(name, self.providers, n=1)
            known = ", ".join(sorted(self.providers))
            hint = f"did you mean '{close[0]}'?" if close else f"the providers are {known}"
            raise RowError("provider", f"'{shorten(name)}' is no provider", hint=hint)
        path, what = (
            (provider.speech_path, "text to speech")
            if kind is Kind.TTS
            else (provider.stt_path, "speech to text")
        )
        if not path:
            hint = "name another in column 'provider', or pass --provider"
            raise RowError("provider", f"'{provider.name}' offers no {what}", hint=hint)
        return provider

    def _check_way(self, cells: Cells, voice: VoiceCells) -> None:
        """Check what depends on how the provider is asked."""
        provider = self._provider(cells, Kind.TTS)
        if voice.output_format:
            _check_format(voice.output_format, provider.output_formats, provider)
        self._dialect(voice, provider)

    def _speech(self, row: Mapping[str, object], provider: Provider) -> SpeechSettings:
        """Judge how to speak; a combination that was judged before is remembered."""
        cells = [row.get(column) for column in VOICE_COLUMNS]
        # 1, 1.0 and true are equal, and true is no speed.
        known = provider.name, *cells, *map(type, cells)
        try:
            return self._voices[known]
        except KeyError:
            speech = self._judge_voice(row, provider)
        except TypeError:  # a list or an object in a cell, which is refused below
            return self._judge_voice(row, provider)
        if len(self._voices) < _VOICES_REMEMBERED and are_short(cells):
            self._voices[known] = speech
        return speech

    def _judge_voice(self, row: Mapping[str, object], provider: Provider) -> SpeechSettings:
        cells, defaults = convert_voice(row), self.defaults
        raise_first(cells.errors, "voice_id")
        voice_id = cells.voice_id or defaults.voice_id or provider.voice
        if not voice_id:
            raise RowError("voice_id", "is empty", hint="give a voice, or pass --voice")
        raise_first(cells.errors, *_VOICE_COLUMNS)
        output_format = cells.output_format or defaults.output_format or DEFAULT_OUTPUT_FORMAT
        _check_format(output_format, provider.output_formats, provider)
        return SpeechSettings(
            voice_id=voice_id,
            model_id=cells.model_id or defaults.model_id or provider.tts_model,
            stability=_first(cells.stability, defaults.stability, DEFAULT_STABILITY),
            similarity_boost=_first(
                cells.similarity_boost, defaults.similarity_boost, DEFAULT_SIMILARITY_BOOST
            ),
            speed=_first(cells.speed, defaults.speed, DEFAULT_SPEED),
            output_format=output_format,
            dialect=self._dialect(cells, provider),
        )

    def _dialect(self, cells: VoiceCells, provider: Provider) -> str:
        """Judge the dialect; on a socket a column of this name is somebody's own, and travels along.

        Raises:
            RowError: It is none, or was asked for by the option where nothing can come of it.
        """
        if not provider.speaks_over_http:
            if self.defaults.dialect:
                shown = f"'{self.defaults.dialect}' has no effect over a WebSocket"
                raise RowError("dialect", shown, hint=_over_http(provider))
            return ""
        raise_first(cells.errors, "dialect")
        _check_dialect(cells.dialect)
        return cells.dialect or self.defaults.dialect


def are_short(cells: Iterable[object]) -> bool:
    """Say whether cells may be kept in memory: one of a million rows' may be a text of megabytes."""
    texts = (cell for cell in cells if isinstance(cell, str))
    return sum(map(len, texts)) <= _REMEMBERED_CHARACTERS


def _has_unused_dialect(row: Mapping[str, object], provider: Provider) -> bool:
    return not provider.speaks_over_http and row.get("dialect") in DIALECTS


def _source(cells: Cells) -> str:
    """Tell which column says what to do.

    Raises:
        RowError: None of them, or more than one.
    """
    if cells.text and not (cells.text_file or cells.audio or cells.text.isspace()):
        return "text"  # as in most rows
    texts = zip(SOURCES, (cells.text, cells.text_file, cells.audio), strict=True)
    given = [column for column, text in texts if text and not text.isspace()]
    if len(given) == 1:
        return given[0]
    if given:
        raise RowError(given[1], f"is given beside '{given[0]}'", hint=_ONE_SOURCE)
    if cells.text:
        raise RowError("text", "is blank: there is nothing to speak", hint=_ONE_SOURCE)
    raise RowError("text", "is empty, and so are 'text_file' and 'audio'", hint=_ONE_SOURCE)


def _output(cells: Cells, kind: Kind) -> str:
    raise_first(cells.errors, "output")
    return check_output(cells.output, kind)


def _first(*numbers: float | None) -> float:
    """Give the first number there is, written in one way: 1 as 1.0, and -0.0, which is equal, as 0.0."""
    return float(next(number for number in numbers if number is not None)) + 0.0


def _check_format(
    output_format: str, formats: Sequence[str], provider: Provider | None = None
) -> None:
    if output_format in formats:
        return
    if provider is not None and output_format in HTTP_OUTPUT_FORMATS:
        shown = f"'{output_format}' does not come over a WebSocket"
        raise RowError("output_format", shown, hint=_over_http(provider))
    hint = f"the formats are {', '.join(formats)}"
    raise RowError("output_format", f"'{shorten(output_format)}' is no format", hint=hint)


def _check_dialect(dialect: str) -> None:
    if dialect and dialect not in DIALECTS:
        hint = f"the dialects are {', '.join(DIALECTS)}"
        raise RowError("dialect", f"'{shorten(dialect)}' is no dialect", hint=hint)


def _over_http(provider: Provider) -> str:
    return (
        f'put tts_transport = "http" below [providers.{provider.name}] in batchjobs.toml, or leave it'
        " out"
    )


def _check_text(text: str, column: str) -> None:
    if "\0" in text:
        raise RowError(column, "holds a NUL character", hint="remove it")
    if "#" in text and text.strip() in SPREADSHEET_ERRORS:
        hint = "write the text again, in a column that is formatted as text"
        raise RowError(column, f"'{text.strip()}' is a spreadsheet's error, no text", hint=hint)
    if not is_speakable(text):
        why = "is blank" if is_blank(text) else "holds no letter or number"
        raise RowError(column, f"{why}: there is nothing to speak", hint="give a text")
