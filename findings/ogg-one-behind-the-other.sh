#!/usr/bin/env bash
# Ogg files put one behind the other.
#
# One would guess: `cat one.ogg two.ogg > both.ogg` is either no Ogg file, or both recordings, one after the other. The
# format allows it in so many words (RFC 3533: chaining), and streams, and recorders that begin anew each minute, write
# such.
#
# It is so: FFmpeg plays both. libsndfile, and so soundfile and what loads by it, knows the first alone: small files
# have the length of the first, and read() ends there as at the end of a whole file. Larger ones (42 KB were small, 112 KB
# large) have 2**63 - 1 frames, 576,460,752,303,423 s; read() fails for want of such an array, and blocks end behind the
# first again. So what a test with two short clips shows is not what recordings do. mutagen and tinytag tell the length of
# the first, whatever the size: an hour that was cut each minute is a minute in a manifest. Nothing is logged.
#
# Seen on 2026-11-29 with soundfile 0.14.0 (libsndfile 1.2.2), mutagen 1.48.1, tinytag 2.3.2 and PyAV 18.1.0 (FFmpeg 8.1.2).
# Source: this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 mutagen==1.48.1 tinytag==2.3.2 av==18.1.0 numpy==2.4.6

cat > "$work/both.py" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import av
import mutagen
import numpy as np
import soundfile
import tinytag

RATE, PARTS = 16_000, 5
folder = Path(sys.argv[1])
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "mutagen", mutagen.version_string)
print("tinytag", version("tinytag"), "PyAV", version("av"), "FFmpeg", av.ffmpeg_version_info)


def by_ffmpeg(path):
    with av.open(str(path)) as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


def by_soundfile(path):
    """Give the length that soundfile tells, what read() reads, and what blocks have together, in seconds."""
    try:
        at_once = f"{len(soundfile.read(path)[0]) / RATE:.2f}"
    except ValueError as error:
        at_once = type(error).__name__
    read = 0
    with soundfile.SoundFile(path) as file:
        while count := len(file.read(RATE)):
            read += count
    return soundfile.info(path).duration, at_once, read / RATE


holds = []
for subtype in ("VORBIS", "OPUS"):
    for seconds in (2, 60):
        both = folder / f"both-{subtype}-{seconds}.ogg"
        with both.open("wb") as file:
            for number in range(PARTS):
                wave = np.sin(np.arange(seconds * RATE) * 2 * np.pi * (200 + 40 * number) / RATE) / 2
                soundfile.write(folder / "part.ogg", wave, RATE, format="OGG", subtype=subtype)
                file.write((folder / "part.ogg").read_bytes())
        told, at_once, blocks = by_soundfile(both)
        others = [mutagen.File(both).info.length, tinytag.TinyTag.get(both).duration]
        played = by_ffmpeg(both)
        print(f"{subtype}, {PARTS} of {seconds} s, {both.stat().st_size:,} bytes: FFmpeg {played:.2f} s")
        print(f"  soundfile {told:,.2f} s, read() {at_once}, blocks {blocks:.2f} s;", end=" ")
        print("mutagen {:.2f} s, tinytag {:.2f} s".format(*others))
        holds += [abs(each - seconds) < 0.1 for each in (blocks, *others)] + [abs(played - PARTS * seconds) < 0.2]
        holds.append(told == seconds if seconds == 2 else told > 1e14)
        holds.append(at_once == (f"{seconds:.2f}" if seconds == 2 else "ValueError"))
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen: FFmpeg plays all, the others know the first")
PYTHON
"$work/venv/bin/python" "$work/both.py" "$work"
