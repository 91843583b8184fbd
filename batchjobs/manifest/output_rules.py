"""Where a row may have its result put."""

import functools
import re
from collections.abc import Sequence
from operator import itemgetter

from batchjobs.audio import formats
from batchjobs.files import run_folder
from batchjobs.jobs import Kind
from batchjobs.manifest.cells import holds_control, shorten
from batchjobs.manifest.columns import RowError

# File systems allow 255 bytes a name; beside a result stand its unfinished form (.NAME.part) and,
# for a transcript, the same name with longer endings.
_NAME_LIMIT_BYTES = 240
_PATH_LIMIT_BYTES = 1000

_PLAIN = "[A-Za-z0-9_][A-Za-z0-9_. -]{0,200}"
_PLAIN_NAME = re.compile(_PLAIN)
_FOLDERS_REMEMBERED = 1_000


def check_output(output: str, kind: Kind) -> str:
    """Check where a row wants its result: a relative path that no file system trips over.

    Args:
        output: The cell; white space alone is empty.
        kind: What the result is of.

    Raises:
        RowError: It leaves the run folder, takes one of the run's own names, or has a wrong ending.
    """
    if not output or output.isspace():
        return ""
    folder, slash, name = output.rpartition("/")
    if not (_PLAIN_NAME.fullmatch(name) and _is_plain(folder + slash)):
        _check_parts(output)
    endings = _endings_of(kind)
    if not name.lower().endswith(endings):
        one_of = " or ".join(endings)
        message = f"'{shorten(output)}' does not end in {one_of}"
        hint = f"a result of {'speech' if kind is Kind.TTS else 'a transcription'} is such a file"
        raise RowError("output", message, hint=hint)
    return output


def are_plain_outputs(outputs: Sequence[str], kind: Kind) -> bool:
    """Say whether `check_output` gives each of these back as it stands."""
    if not any(outputs):
        return True
    parts = [output.rpartition("/") for output in outputs]
    folders = set(map(itemgetter(0, 1), parts))
    if all(_is_plain(folder + slash) for folder, slash in folders):
        names = "".join([f"{name}\n" for _, _, name in parts])
        if names.count("\n") == len(parts) and _plain_names_of(kind).fullmatch(names):
            return True
    try:
        return all(check_output(output, kind) == output for output in outputs)
    except RowError:
        return False


@functools.cache
def _plain_names_of(kind: Kind) -> re.Pattern[str]:
    """Match plain names with the right endings, a line each."""
    endings = "|".join(map(re.escape, _endings_of(kind)))
    return re.compile(rf"(?:{_PLAIN}(?i:{endings})\n)*", re.ASCII)


def _endings_of(kind: Kind) -> tuple[str, ...]:
    return formats.ENDINGS if kind is Kind.TTS else (".txt",)


@functools.lru_cache(maxsize=_FOLDERS_REMEMBERED)
def _is_plain(folder: str) -> bool:
    """Whether a name that is plain is fine below a folder, whatever it is; empty for none."""
    try:
        _check_parts(f"{folder}plain")
    except RowError:
        return False
    return bool(folder) and len(folder.encode()) < _PATH_LIMIT_BYTES - _NAME_LIMIT_BYTES


def _check_parts(output: str) -> None:
    """Check the names that a path is made of.

    Raises:
        RowError: One of them cannot be.
    """
    parts = output.split("/")
    if holds_control(output) or "\\" in output:
        hint = "write folders with '/'"
        raise RowError("output", "holds a backslash or control character", hint=hint)
    if any(not part.strip() or part[0] == "." for part in parts):
        hint = "give a path below the run folder, such as chapters/01.wav"
        raise RowError(
            "output",
            f"'{shorten(output)}' is absolute, or has a part that starts with a dot",
            hint=hint,
        )
    size = len(output.encode())
    if size > _NAME_LIMIT_BYTES and any(len(part.encode()) > _NAME_LIMIT_BYTES for part in parts):
        raise RowError("output", f"has a name longer than {_NAME_LIMIT_BYTES} bytes")
    if size > _PATH_LIMIT_BYTES:
        raise RowError("output", f"is longer than {_PATH_LIMIT_BYTES} bytes")
    if run_folder.is_reserved(output):
        hint = "choose another name or a folder"
        raise RowError("output", f"'{parts[0]}' belongs to the run itself", hint=hint)
