"""Takes a folder of inputs from the field, and says of each whether it comes out right, a line each.

    python tests/proofs/field.py FOLDER [WORD]

FOLDER has `books/`, `stt/` and `manifests/` with a folder for each kind; WORD picks the lines that hold it.
The inputs are not part of this project; every kind is a test of the suite with an input made there.
Everything goes through the real command line and the local server's engine of tones, whose sound says
what was spoken. Exits with 1 if a line is wrong.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.proofs.field_books import BOOKS  # noqa: E402
from tests.proofs.field_manifests import MANIFESTS  # noqa: E402
from tests.proofs.field_recordings import RECORDINGS  # noqa: E402

Look = Callable[[Path, Path], Iterator[tuple[str, str]]]
"""Takes an input's folder and an empty one to work in; gives lines, each with what is wrong (or nothing)."""


def main() -> int:
    """Look at every kind; gives the exit code."""
    field = Path(sys.argv[1])
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    wrong = right = 0
    kinds: dict[str, Look] = {**BOOKS, **RECORDINGS, **MANIFESTS}
    unknown = {
        f"{folder.parent.name}/{folder.name}" for folder in field.glob("*/*") if folder.is_dir()
    }
    for kind, look in kinds.items():
        unknown.discard(kind)
        if word not in kind:
            continue
        with tempfile.TemporaryDirectory() as room:
            try:
                lines = list(look(field / kind, Path(room)))
            except Exception as error:
                lines = [("all", f"{type(error).__name__}: {error}")]
        for line, fault in lines:
            wrong, right = wrong + bool(fault), right + (not fault)
            print(
                f"WRONG {kind}: {line}: {fault}" if fault else f"right {kind}: {line}", flush=True
            )
    for kind in sorted(unknown):
        wrong += 1
        print(f"WRONG {kind}: nobody looks at it")
    print(f"{right} right, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
