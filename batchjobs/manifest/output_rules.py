"""Where a row may have its result put."""

from batchjobs.audio import formats
from batchjobs.files import run_folder
from batchjobs.jobs import Kind
from batchjobs.manifest.cells import holds_control, shorten
from batchjobs.manifest.columns import RowError

# File systems allow 255 bytes a name; beside a result stand its unfinished form (.NAME.part) and,
# for a transcript, the same name with longer endings.
_NAME_LIMIT_BYTES = 240
_PATH_LIMIT_BYTES = 1000


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
    endings = formats.ENDINGS if kind is Kind.TTS else (".txt",)
    if not parts[-1].lower().endswith(endings):
        one_of = " or ".join(endings)
        message = f"'{shorten(output)}' does not end in {one_of}"
        hint = f"a result of {'speech' if kind is Kind.TTS else 'a transcription'} is such a file"
        raise RowError("output", message, hint=hint)
    return output
