#!/usr/bin/env bash
# FFmpeg's M4B chapters: titles of more than 255 bytes, and more than 255 chapters.
#
# One would guess: FFmpeg writes chapter titles of any script as they are, or cuts them between
# letters, and a file with 300 chapters has 300 in whichever list a player reads; it warns otherwise.
#
# It is so: an M4B has two lists of chapters. The one that Nero introduced (the box `chpl`) has one byte
# for a title's length and one for the number of chapters. FFmpeg cuts a title at byte 255, between the
# two bytes of an Arabic letter, without a warning; mutagen then refuses the whole file, tags and all,
# with MP4MetadataError. Of 300 chapters the first 255 are in `chpl` and all 300 in QuickTime's text
# track: two readers of one file see two books, and nothing is said. `-movflags disable_chpl` leaves
# out the short list.
#
# Seen on 2026-11-28 with FFmpeg 8.1 in the wheel av 18.1.0 and mutagen 1.48.1; no other code is
# involved. Source: this output; libavformat/movenc.c, mov_write_chpl_tag (FFMIN(..., 255), twice).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 mutagen==1.48.1 numpy

cat > "$work/chapters.py" <<'PYTHON'
import sys
from fractions import Fraction
from pathlib import Path

import av
import mutagen
import mutagen.mp4
import numpy

RATE, FRAMES = 16_000, 1_600


def write(path, titles, **options):
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        container.metadata["title"] = "book"
        container.set_chapters([
            {"id": n, "start": n * FRAMES, "end": (n + 1) * FRAMES,
             "time_base": Fraction(1, RATE), "metadata": {"title": title}}
            for n, title in enumerate(titles)
        ])
        silence = numpy.zeros((1, FRAMES * len(titles)), numpy.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def in_track(path):
    with av.open(str(path)) as container:
        return [chapter["metadata"]["title"] for chapter in container.chapters()]


def in_chpl(path):
    return [chapter.title for chapter in mutagen.File(path).chapters or []]


folder = Path(sys.argv[1])
print(f"av {av.__version__}, FFmpeg {av.ffmpeg_version_info}, mutagen {mutagen.version_string}")
write(folder / "fits.m4b", ["\u0627" * 127, "b"])
assert in_chpl(folder / "fits.m4b")[0] == "\u0627" * 127
print("a title of 127 Arabic letters, 254 bytes: read by both")
write(folder / "long.m4b", ["\u0627" * 128, "b"])
assert in_track(folder / "long.m4b")[0] == "\u0627" * 128
try:
    mutagen.File(folder / "long.m4b")
except mutagen.mp4.MP4MetadataError as error:
    print(f"one of 128, 256 bytes: whole in the text track, and mutagen refuses the file: {error}")
else:
    sys.exit("CHANGED: a title of 256 bytes can be read")
write(folder / "many.m4b", [f"{n}" for n in range(300)])
counts = len(in_chpl(folder / "many.m4b")), len(in_track(folder / "many.m4b"))
print(f"300 chapters: {counts[0]} in chpl, {counts[1]} in the text track")
if counts != (255, 300):
    sys.exit("CHANGED: the two lists are others than they were")
write(folder / "one.m4b", [f"{n}" for n in range(300)], movflags="disable_chpl")
assert (len(in_chpl(folder / "one.m4b")), len(in_track(folder / "one.m4b"))) == (0, 300)
print("with disable_chpl: none in chpl, 300 in the text track")
PYTHON
"$work/venv/bin/python" "$work/chapters.py" "$work"
