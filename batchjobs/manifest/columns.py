"""The columns a manifest may have, and which of them a misspelt name stands for."""

import difflib
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence

from batchjobs.jobs import BadRow, Job, Mistake

KNOWN_COLUMNS: Mapping[str, str] = {
    "id": "unique name of the row; one without it gets a short hash of its content",
    "text": "what to speak",
    "text_file": "a UTF-8 file that holds what to speak, relative to the manifest",
    "audio": "the recording to transcribe, relative to the manifest",
    "voice_id": "the service's name of the voice",
    "model_id": "the service's name of the model",
    "stability": "how even the voice is, 0 to 1",
    "similarity_boost": "how close to the original voice, 0 to 1",
    "speed": "0.7 to 1.2; 1.0 is the voice's own pace",
    "output_format": "what the service sends: pcm_8000, pcm_16000, pcm_22050 or pcm_24000; over HTTP "
    "pcm_32000 and pcm_48000, too",
    "dialect": "over HTTP only: auto, emirati or fusha",
    "hotwords": "words to expect in a recording: a,b,c",
    "channels": "what of a recording is heard: mix, apart, left or right; how many there are says nothing",
    "channel_names": "who is on each channel, where they are heard apart: Agent,Customer",
    "track": "which audio track of a film, from 1",
    "reference": "the true text of a recording, for its error rates",
    "output": "path of the result below the run folder; its ending picks the format",
    "take": "a whole number that makes two equal rows two purchases",
    "provider": "the service for this row",
}

SOURCES = ("text", "text_file", "audio")
"""One of them says what to do."""
NUMBERS = ("stability", "similarity_boost", "speed", "take")

# What other tools call these columns.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "voice": ("voice_id",),
    "model": ("model_id",),
    "txt": ("text",),
    "file": ("audio", "text_file"),
    "wav": ("audio",),
    "format": ("output_format",),
}
GROUP_COLUMNS = ("group", "part")
"""Not among the known ones: many manifests have columns of these names that mean something else."""
_SETS_REMEMBERED = 1000
_CLOSE = 0.8
# So short that every other two- or three-letter name would count as close ("idx", "uid").
_TOO_SHORT_TO_GUESS = frozenset({"id"})
# Data sets have columns like these, which say other things ("keywords", "channel", "tracks").
_LIKE_OTHERS = frozenset({"channels", "channel_names", "hotwords", "track"})
# Names that columns of people's own have: they are only what stands there letter by letter.
_TAKEN_LITERALLY = frozenset({"dialect"})
_GUESSABLE = tuple(
    name
    for name in KNOWN_COLUMNS
    if name not in _TOO_SHORT_TO_GUESS | _LIKE_OTHERS | _TAKEN_LITERALLY
)


class RowError(Exception):
    """What is wrong with one row; the reader makes a `BadRow` of it.

    Args:
        column: The column that is wrong; empty if the row as a whole is.
        message: What is wrong.
        hint: What to do about it.
    """

    def __init__(self, column: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.message = message
        self.hint = hint

    def to_bad_row(
        self,
        line: int,
        job_id: str,
        row: Mapping[str, object],
        *,
        job: Job | None = None,
        further: Iterable["RowError"] = (),
    ) -> BadRow:
        """Make the record of a row that cannot be run.

        Args:
            line: Where it starts in the manifest.
            job_id: Its id, or one derived from its content.
            row: Column to value.
            job: What it would be if its recording were there.
            further: What else is wrong with it.
        """
        return BadRow(
            line=line,
            column=self.column,
            message=self.message,
            hint=self.hint,
            id=job_id,
            row=row,
            job=job,
            further=tuple(
                Mistake(column=each.column, message=each.message, hint=each.hint)
                for each in further
            ),
        )


def guess_columns(name: str, present: Collection[str]) -> tuple[str, ...]:
    """Guess which known column a name stands for.

    A column that is there under its own name too was not misspelt: ``text`` beside ``texts`` leaves
    the other to travel along.

    Args:
        name: A column's name as it stands in the manifest.
        present: All the names in the manifest.

    Returns:
        The known names it may stand for; empty if it is one itself, but for capitals and spaces
        about it, or is like none.
    """
    if name in KNOWN_COLUMNS:
        return ()
    plain = name.strip().casefold()
    if plain in KNOWN_COLUMNS:
        return ()
    guesses: tuple[str, ...]
    if plain in _ALIASES:
        guesses = _ALIASES[plain]
    else:
        joined = _join_words(plain)
        swapped = tuple(known for known in _GUESSABLE if sorted(known) == sorted(joined))
        close = difflib.get_close_matches(joined, _GUESSABLE, n=1, cutoff=_CLOSE)
        guesses = swapped or tuple(close)
    return () if any(guess in present for guess in guesses) else guesses


@functools.lru_cache(maxsize=_SETS_REMEMBERED)
def find_near_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Find the columns that travel along and are spelt nearly as one of those for recordings.

    Args:
        names: A row's columns.

    Returns:
        Their names; none of a column whose own name is there, too.
    """
    wanted = sorted(_LIKE_OTHERS.difference(names))
    plain = {name: name.strip().casefold() for name in names}
    return tuple(
        name
        for name in names
        if plain[name] not in KNOWN_COLUMNS
        and difflib.get_close_matches(_join_words(plain[name]), wanted, n=1, cutoff=_CLOSE)
    )


def _join_words(name: str) -> str:
    """Write a name of several words as the known ones are."""
    return name.replace(" ", "_").replace("-", "_")


def quote_names(names: Collection[str]) -> str:
    """Write names for a hint: ``'audio' or 'text_file'``."""
    return " or ".join(f"'{name}'" for name in names)


def find_own_name(name: str, present: Collection[str]) -> str:
    """Give a known column's own name to one that differs only in capitals or in spaces about it.

    A column that is there under its own name too keeps it: the other one travels along.

    Args:
        name: A column's name as it stands in the manifest.
        present: All the names in the manifest.
    """
    plain = name.strip().casefold()
    is_known = plain in KNOWN_COLUMNS and plain not in _TAKEN_LITERALLY
    return plain if is_known and plain not in present else name


def is_header(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a row is the header once more.

    Args:
        cells: The row's.
        columns: The header's names. Of a single one only its very name: more may be a text.
    """
    if len(columns) == 1:
        return list(cells) == list(columns)
    return len(cells) == len(columns) and all(
        cell.strip().casefold() == column.strip().casefold()
        for cell, column in zip(cells, columns, strict=True)
    )


def is_other_header(cells: Sequence[str]) -> bool:
    """Whether a row can only be another manifest's header: it names nothing but known columns."""
    names = [cell.strip().casefold() for cell in cells if cell.strip()]
    return (
        len(names) > 1
        and len(set(names)) == len(names)
        and any(name in SOURCES for name in names)
        and all(name in KNOWN_COLUMNS or name in GROUP_COLUMNS for name in names)
    )


class ColumnNames:
    """Gives the columns of rows their own names, and refuses rows with a misspelt one.

    Rows of one manifest mostly have the same columns, so each set of them is looked at once.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Mapping[str, str]] = {}

    def find(self, columns: tuple[str, ...]) -> Mapping[str, str]:
        """Look at a row's columns.

        Returns:
            The own names of those that stand there under another; mostly there are none.

        Raises:
            RowError: One of them is no known column, and like one; or two are the same one.
        """
        known = self._known.get(columns)
        if known is None:
            known = _find_own_names(columns)
            if len(self._known) < _SETS_REMEMBERED:
                self._known[columns] = known
        return known


def _find_own_names(columns: tuple[str, ...]) -> Mapping[str, str]:
    renamed: dict[str, str] = {}
    for column in columns:
        own = find_own_name(column, columns)
        if own in renamed.values():
            raise RowError(column, f"is the column '{own}' once more", hint="keep one of them")
        if own != column:
            renamed[column] = own
        elif guesses := guess_columns(column, columns):
            raise RowError(column, "no such column", hint=f"did you mean {quote_names(guesses)}?")
    return renamed
