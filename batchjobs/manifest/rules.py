"""What makes a row a job: every column's rule, with what to do about a breach."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.audio import formats
from batchjobs.errors import UsageError
from batchjobs.files import run_folder
from batchjobs.files.paths import PathEscapeError, path_inside
from batchjobs.jobs import BadRow, Job, Kind, SpeechSettings, derived_id
from batchjobs.manifest.cells import (
    holds_control,
    is_blank,
    is_speakable,
    name_in,
    number_in,
    shortened,
    string_in,
    take_in,
)
from batchjobs.manifest.columns import RowError
from batchjobs.options import Defaults
from batchjobs.providers import DEFAULT_PROVIDER, Provider
from batchjobs.speech import DEFAULT_OUTPUT_FORMAT, FASTEST, OUTPUT_FORMATS, SLOWEST

__all__ = ["Rules"]

_SOURCES = ("text", "text_file", "audio")
_ONE_SOURCE = "give exactly one of text, text_file and audio"
_ID_LIMIT_CHARACTERS = 1000
# File systems allow 255 bytes a name; beside a result stand its unfinished form (.NAME.part) and,
# for a transcript, the same name with longer endings.
_NAME_LIMIT_BYTES = 240
_PATH_LIMIT_BYTES = 1000
_TEXT_FILE_LIMIT_BYTES = 16 * 1024 * 1024
_BOM = "\ufeff"

_NO_ROW: Final[Mapping[str, object]] = {}
_MANNER_COLUMNS: Final = (
    "provider",
    "voice_id",
    "model_id",
    "stability",
    "similarity_boost",
    "speed",
    "output_format",
)
"""The columns that say who speaks and how; in most manifests they hold a few combinations."""
_MANNERS_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that a row is judged by.

    Attributes:
        folder: What relative paths are relative to.
        input_root: A second place for inputs, tried after `folder`.
        providers: The providers, by name.
        defaults: What holds where a row says nothing.
    """

    folder: Path
    input_root: Path | None
    providers: Mapping[str, Provider]
    defaults: Defaults
    _manners: dict[object, tuple[Provider, SpeechSettings]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def check_defaults(self) -> None:
        """Judge the defaults before any row does.

        Raises:
            UsageError: One of them is out of its range.
        """
        try:
            _speech(_NO_ROW, self.defaults, voice_id="", model_id="")
        except RowError as error:
            message = f"the default for '{error.column}': {error.message}"
            raise UsageError(message, hint=error.hint) from error

    def judge(self, line: int, row: dict[str, object]) -> Job | BadRow:
        """Make a row a job, or say what is wrong with it.

        Args:
            line: Where it starts in the manifest.
            row: Column to value.
        """
        job_id, derived = "", False
        try:
            job_id = _id(row)
            if not job_id:
                job_id, derived = derived_id(row), True
            return self._job(line, row, job_id, id_is_derived=derived)
        except RowError as error:
            return BadRow(
                line=line,
                column=error.column,
                message=error.message,
                hint=error.hint,
                id=job_id or derived_id(row),
                row=row,
            )

    def _job(self, line: int, row: dict[str, object], job_id: str, *, id_is_derived: bool) -> Job:
        source = _source(row)
        if source == "audio":
            provider = _provider(row, self)
            _check_kind(provider, Kind.STT)
            return Job(
                id=job_id,
                id_is_derived=id_is_derived,
                line=line,
                kind=Kind.STT,
                provider=provider.name,
                output=_output(string_in(row, "output"), Kind.STT),
                audio=str(_input_file(string_in(row, source), source, self)),
                reference=string_in(row, "reference"),
                row=row,
            )
        provider, speech = self._manner(row)
        return Job(
            id=job_id,
            id_is_derived=id_is_derived,
            line=line,
            kind=Kind.TTS,
            provider=provider.name,
            text=_text(row, source, self),
            speech=speech,
            output=_output(string_in(row, "output"), Kind.TTS),
            take=take_in(row),
            row=row,
        )

    def _manner(self, row: Mapping[str, object]) -> tuple[Provider, SpeechSettings]:
        """Judge who speaks and how; a combination that was judged before is remembered."""
        cells = [row.get(column) for column in _MANNER_COLUMNS]
        # 1, 1.0 and true are equal, and true is no speed.
        known = tuple(cells), tuple(map(type, cells))
        try:
            return self._manners[known]
        except KeyError:
            manner = self._judged_manner(row)
        except TypeError:  # a list or an object in a cell, which is refused below
            return self._judged_manner(row)
        if len(self._manners) < _MANNERS_KEPT:
            self._manners[known] = manner
        return manner

    def _judged_manner(self, row: Mapping[str, object]) -> tuple[Provider, SpeechSettings]:
        provider = _provider(row, self)
        _check_kind(provider, Kind.TTS)
        voice_id = _voice(row, self.defaults, provider)
        model_id = name_in(row, "model_id") or self.defaults.model_id or provider.tts_model
        return provider, _speech(row, self.defaults, voice_id=voice_id, model_id=model_id)


# -- cells -----------------------------------------------------------------------------------------


def _id(row: Mapping[str, object]) -> str:
    value = row.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    job_id = string_in(row, "id")
    if len(job_id) > _ID_LIMIT_CHARACTERS:
        raise RowError("id", f"is longer than {_ID_LIMIT_CHARACTERS} characters")
    if holds_control(job_id):
        hint = "a line break in an id often is a stray quote"
        raise RowError("id", "holds a control character", hint=hint)
    if job_id and is_blank(job_id):
        raise RowError("id", "is blank", hint="give an id, or leave it empty to get one")
    return job_id


def _source(row: Mapping[str, object]) -> str:
    """Tell which column says what to do.

    Raises:
        RowError: None of them, or more than one.
    """
    given = [column for column in _SOURCES if not _is_white(string_in(row, column))]
    if len(given) == 1:
        return given[0]
    if given:
        raise RowError(given[1], f"is given beside '{given[0]}'", hint=_ONE_SOURCE)
    if string_in(row, "text"):
        raise RowError("text", "is blank: there is nothing to speak", hint=_ONE_SOURCE)
    raise RowError("text", "is empty, and so are 'text_file' and 'audio'", hint=_ONE_SOURCE)


def _is_white(text: str) -> bool:
    return not text or text.isspace()


# -- what to speak, and how ------------------------------------------------------------------------


def _text(row: Mapping[str, object], column: str, rules: Rules) -> str:
    text = string_in(row, column)
    if column == "text_file":
        text = _content(_input_file(text, column, rules), text)
    if "\0" in text:
        raise RowError(column, "holds a NUL character", hint="remove it")
    if not is_speakable(text):
        why = "is blank" if is_blank(text) else "holds no letter or number"
        raise RowError(column, f"{why}: there is nothing to speak", hint="give a text")
    return text


def _content(path: Path, relative: str) -> str:
    """Read a text file exactly, but for a byte order mark.

    Raises:
        RowError: It is too large, unreadable or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_TEXT_FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise RowError("text_file", f"'{relative}' cannot be read: {error.strerror}") from error
    if len(data) > _TEXT_FILE_LIMIT_BYTES:
        hint = "make several files and rows of it"
        raise RowError("text_file", f"'{relative}' is larger than 16 MiB", hint=hint)
    hint = "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise RowError("text_file", f"'{relative}' is UTF-16 or UTF-32, not UTF-8", hint=hint)
    try:
        return data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RowError(
            "text_file",
            f"'{relative}' is not UTF-8 on its line {line}",
            hint="save it as UTF-8, or convert it with iconv",
        ) from error


def _voice(row: Mapping[str, object], defaults: Defaults, provider: Provider) -> str:
    voice_id = name_in(row, "voice_id") or defaults.voice_id or provider.voice
    if not voice_id:
        raise RowError("voice_id", "is empty", hint="give a voice, or pass --voice")
    return voice_id


def _speech(
    row: Mapping[str, object], defaults: Defaults, *, voice_id: str, model_id: str
) -> SpeechSettings:
    stability = number_in(row, "stability", defaults.stability, 0.0, 1.0)
    similarity_boost = number_in(row, "similarity_boost", defaults.similarity_boost, 0.0, 1.0)
    speed = number_in(row, "speed", defaults.speed, SLOWEST, FASTEST)
    output_format = name_in(row, "output_format") or defaults.output_format or DEFAULT_OUTPUT_FORMAT
    if output_format not in OUTPUT_FORMATS:
        hint = f"the formats are {', '.join(OUTPUT_FORMATS)}"
        raise RowError("output_format", f"'{shortened(output_format)}' is no format", hint=hint)
    return SpeechSettings(
        voice_id=voice_id,
        model_id=model_id,
        stability=0.5 if stability is None else stability,
        similarity_boost=0.75 if similarity_boost is None else similarity_boost,
        speed=1.0 if speed is None else speed,
        output_format=output_format,
    )


# -- where it goes, and who does it ----------------------------------------------------------------


def _provider(row: Mapping[str, object], rules: Rules) -> Provider:
    name = name_in(row, "provider") or rules.defaults.provider or DEFAULT_PROVIDER
    provider = rules.providers.get(name)
    if provider is None:
        close = difflib.get_close_matches(name, rules.providers, n=1)
        known = ", ".join(sorted(rules.providers))
        hint = f"did you mean '{close[0]}'?" if close else f"the providers are {known}"
        raise RowError("provider", f"'{shortened(name)}' is no provider", hint=hint)
    return provider


def _check_kind(provider: Provider, kind: Kind) -> None:
    path, what = (
        (provider.tts_path, "text to speech")
        if kind is Kind.TTS
        else (provider.stt_path, "speech to text")
    )
    if not path:
        hint = "name another in column 'provider', or pass --provider"
        raise RowError("provider", f"'{provider.name}' offers no {what}", hint=hint)


def _input_file(value: str, column: str, rules: Rules) -> Path:
    """Find a row's input below the manifest's folder or the input root.

    Raises:
        RowError: It is in neither, or no plain file.
    """
    escape = None
    for root in (rules.folder, rules.input_root):
        if root is None:
            continue
        try:
            path = path_inside(root, value)
            if path.exists():
                return path
        except PathEscapeError as error:
            escape = escape or error
    if escape is not None:
        hint = "inputs stand below the manifest's folder, or below --input-root"
        raise RowError(column, escape.message, hint=hint) from escape
    hint = "paths are relative to the manifest, or to --input-root"
    raise RowError(column, f"there is no file '{shortened(value)}'", hint=hint)


def _output(output: str, kind: Kind) -> str:
    """Check where a row wants its result: a relative path that no file system trips over.

    Raises:
        RowError: It leaves the run folder, takes one of the run's own names, or has a wrong ending.
    """
    if not output or output.isspace():
        return ""
    parts = output.split("/")
    if holds_control(output) or "\\" in output:
        hint = "write folders with '/'"
        raise RowError("output", "holds a backslash or control character", hint=hint)
    if any(not part.strip() or part[0] == "." for part in parts):
        hint = "give a path below the run folder, such as chapters/01.wav"
        raise RowError(
            "output",
            f"'{shortened(output)}' is absolute, or has a part that starts with a dot",
            hint=hint,
        )
    if any(len(part.encode()) > _NAME_LIMIT_BYTES for part in parts):
        raise RowError("output", f"has a name longer than {_NAME_LIMIT_BYTES} bytes")
    if len(output.encode()) > _PATH_LIMIT_BYTES:
        raise RowError("output", f"is longer than {_PATH_LIMIT_BYTES} bytes")
    if run_folder.is_reserved(output):
        hint = "choose another name or a folder"
        raise RowError("output", f"'{parts[0]}' belongs to the run itself", hint=hint)
    endings = formats.ENDINGS if kind is Kind.TTS else (".txt",)
    if not parts[-1].lower().endswith(endings):
        hint = f"the ending is {' or '.join(endings)}"
        raise RowError("output", f"'{shortened(output)}' has another ending", hint=hint)
    return output
