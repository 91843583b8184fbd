"""The words to expect in a recording: read from a cell, an option or a file, checked, each once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import orjson

from batchjobs.errors import UsageError
from batchjobs.manifest.cells import holds_control, is_blank, shorten
from batchjobs.manifest.columns import RowError
from batchjobs.manifest.inputs import read_text
from batchjobs.providers import Provider
from batchjobs.speech import MODEL_WITHOUT_HOTWORDS, MOST_HOTWORD_CHARACTERS, MOST_HOTWORDS

COLUMN: Final = "hotwords"
_ARABIC_COMMA: Final = "\u060c"
_HINT: Final = "give words with commas between them, or a list"


def read_hotwords(value: object) -> tuple[str, ...]:
    """Read the words of a cell: a text with commas between them, Latin or Arabic, or a list.

    What stands between white space at their ends is taken to the letter.

    Raises:
        RowError: They are too many, or one is none.
    """
    if value is None or value == "":
        return ()  # by far the most cells
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise RowError(COLUMN, "is no list in JSON", hint=_HINT) from None
    if isinstance(value, str):
        return _check(value.replace(_ARABIC_COMMA, ",").split(","))
    try:
        return _check(msgspec.convert(value, list[str]))
    except msgspec.ValidationError:
        raise RowError(COLUMN, "must be words", hint=_HINT) from None


def read_hotwords_file(path: Path) -> tuple[str, ...]:
    """Read the words of a file, a line each; a glossary's lines are taken, too.

    Of ``term = spelling, spelling`` the term is taken, and lines that begin with ``#`` say nothing.

    Raises:
        UsageError: It cannot be read, or a line is none.
    """
    try:
        text = read_text(path, str(path), COLUMN)
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        return _check(line.partition("=")[0] for line in lines)
    except RowError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from error


def check_hotwords(words: tuple[str, ...], provider: Provider) -> tuple[str, ...]:
    """Give words back that a provider can be told.

    On the local server's older socket they have no effect, and cost nothing: there are none then.

    Raises:
        RowError: It would hear without them, and be paid for it.
    """
    if not words:
        return ()
    if provider.stt_protocol != "listen":
        if provider.engine:
            return ()
        raise RowError(
            COLUMN,
            f"'{provider.name}' is asked on a socket that takes none",
            hint=f'put stt_protocol = "listen" below [providers.{provider.name}] in batchjobs.toml, '
            "or leave them out",
        )
    if provider.stt_model == MODEL_WITHOUT_HOTWORDS:
        hint = f"leave them out, or put another stt_model below [providers.{provider.name}]"
        raise RowError(COLUMN, f"the model {MODEL_WITHOUT_HOTWORDS} takes none", hint=hint)
    return words


def _check(given: Iterable[str]) -> tuple[str, ...]:
    """Take words, each once, without white space about them; what is empty is none."""
    words = tuple(dict.fromkeys(word.strip() for word in given if not is_blank(word)))
    for word in words:
        if "," in word:
            hint = "the service takes it for two: give each by itself"
            raise RowError(COLUMN, f"'{shorten(word)}' holds a comma", hint=hint)
        if holds_control(word):
            raise RowError(COLUMN, f"'{shorten(word)}' holds a control character", hint=_HINT)
        if len(word) > MOST_HOTWORD_CHARACTERS:
            shown = f"'{shorten(word)}' has {len(word)} characters, marks and joiners included"
            raise RowError(COLUMN, shown, hint=f"a word has {MOST_HOTWORD_CHARACTERS} at most")
    if len(words) > MOST_HOTWORDS:
        hint = f"a recording is told {MOST_HOTWORDS} at most"
        raise RowError(COLUMN, f"these are {len(words)} words", hint=hint)
    return words
