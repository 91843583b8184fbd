#!/usr/bin/env bash
# watchfiles and a file whose name is not UTF-8.
#
# One would guess: a file system's names are bytes on Linux, and Python has had an answer to that since
# 3.1 (surrogateescape, which os.listdir and os.scandir use), so a watch either reports such a name that
# way, or leaves it out, and goes on with the others.
#
# It is so: the first event of a file called caf\xe9.wav (Latin-1, as on old disks) raises
# WatchfilesRustInternalError, a RuntimeError, out of the generator; the changes of other files that were
# waiting with it are lost, and a generator that has raised has ended. It is not only the creation that
# raises: to read such a file, as a program does that reacts to it, is an event too. And with a *folder* of
# such a name below, a new watch cannot even begin: its own opening of that folder raises in the first
# step, however often it is tried. Ignoring permission errors or filtering by watch_filter changes
# nothing, since the name is decoded before.
#
# Seen on 2026-11-28 with watchfiles 1.3.0 on Linux (inotify); source: this output. The message comes from
# the Rust part ("Unable to decode path … to string").
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet watchfiles==1.3.0

cat > "$work/watch.py" <<'PYTHON'
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from watchfiles import watch

print("watchfiles", version("watchfiles"), "on", os.uname().sysname)
how = {"watch_filter": None, "yield_on_timeout": True, "rust_timeout": 200, "step": 50}


def begin(folder):
    changes = watch(folder, ignore_permission_denied=True, **how)
    next(changes)
    return changes


def steps(changes, count=5):
    seen = []
    try:
        for _ in range(count):
            seen += [Path(name).name for _, name in next(changes)]
    except RuntimeError as error:
        return seen, f"{type(error).__name__}: {str(error).replace(folder, '…')}"
    return seen, "goes on"


with tempfile.TemporaryDirectory() as folder:
    changes = begin(folder)
    Path(folder, "good.wav").write_bytes(b"x")
    seen, end = steps(changes)
    print("a name in ASCII:         ", sorted(set(seen)), end)
    assert "good.wav" in seen and end == "goes on"

    changes = begin(folder)
    Path(folder, "good too.wav").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav")).write_bytes(b"x")
    seen, end = steps(changes)
    print("with a name in Latin-1:  ", sorted(set(seen)), end)
    assert "good too.wav" not in seen and "Unable to decode path" in end
    print("the generator afterwards:", next(changes, "has ended"))

    changes = begin(folder)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav")).read_bytes()
    seen, end = steps(changes)
    print("to read it:              ", seen, end)
    assert "Unable to decode path" in end

    os.mkdir(os.fsencode(folder) + b"/bad\xff")
    for attempt in range(3):
        try:
            changes = begin(folder)
        except RuntimeError as error:
            end = str(error).replace(folder, "…")
        else:
            _, end = steps(changes)
        print(f"a folder, attempt {attempt + 1}:     ", end)
        assert "Unable to decode path" in end
    print("os.scandir has no trouble:", sorted(os.fsencode(e.name) for e in os.scandir(folder)))
PYTHON
"$work/venv/bin/python" "$work/watch.py"
