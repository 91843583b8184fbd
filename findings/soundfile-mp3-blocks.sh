#!/usr/bin/env bash
# python-soundfile: an MP3 read in blocks.
#
# One would guess: SoundFile.blocks(), and read(n) again and again, give put together what one read() of the whole file
# gives. Recordings of hours are read in blocks, as they do not fit into memory. And read(start=…) gives that part of it.
#
# That holds of FLAC, Vorbis and Opus. Of an MP3 each block can begin with some hundred wrong samples: clicks and drop-outs
# that are not in the file, by up to more than its loudest sample. soundfile moves to where it stands after each read,
# which is a seek to libsndfile; an MP3's frames lean on bytes of the frames before them, and those are lost by it.
# A part that is read with start= can begin so, too. Which samples, and how many, depends on the size of the blocks and
# the bit rate. Lengths are right, nothing is raised; now and then a line about a frame is printed by the decoder. A file
# that is said to be a stream (`file.seekable = lambda: False`) is read as it is.
#
# Seen on 2026-11-29 with soundfile 0.14.0, libsndfile 1.2.2 (mpg123 inside), and PyAV 18.1.0 to tell which of the two
# is right. Source: this output; soundfile.py, SoundFile._cdata_io, which seeks behind each read.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6

cat > "$work/blocks.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

SECONDS, WRONG = 6, 0.01
FORMS = {"MPEG_LAYER_III": "mp3", "VORBIS": "ogg", "OPUS": "opus", "PCM_16": "flac"}
folder = sys.argv[1]
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "PyAV", av.__version__)


def vowels(rate):
    """Give a voice of about 120 Hz that comes and goes, with its peak at half of full scale."""
    time = np.arange(rate * SECONDS) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / rate
    wave = sum(np.sin(each * pitch) / each for each in range(1, 30))
    wave *= (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)) ** 2
    return (wave / np.abs(wave).max() / 2).astype(np.float32)


def read_on(path, size):
    """Read in blocks a file that is said to be a stream."""
    with soundfile.SoundFile(path) as file:
        file.seekable = lambda: False
        left = file.frames
        pieces = []
        while left:
            pieces.append(file.read(min(size, left)))
            left -= len(pieces[-1])
    return np.concatenate(pieces)


def by_ffmpeg(path):
    with av.open(path) as file:
        return np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])


def wrong(samples, right):
    assert len(samples) == len(right), "another length"
    difference = np.abs(samples - right)
    return int((difference > WRONG).sum()), float(difference.max())


holds = []
for rate in (16_000, 24_000):
    for subtype, ending in FORMS.items():
        path = f"{folder}/voice.{ending}"
        soundfile.write(path, vowels(rate), rate, format="OGG" if ending == "opus" else None, subtype=subtype)
        whole, _ = soundfile.read(path)
        found = {}
        for size in (1_024, 4_096, rate):
            found[f"blocks of {size}"] = wrong(np.concatenate(list(soundfile.blocks(path, size))), whole)
        found["said to be a stream"] = wrong(read_on(path, 1_024), whole)
        parts = [(start, soundfile.read(path, start=start, frames=2_048)[0]) for start in range(999, 3 * rate, 4_999)]
        misses = [wrong(part, whole[start : start + len(part)]) for start, part in parts]
        found["parts"] = sum(count for count, _ in misses), max(most for _, most in misses)
        if ending == "mp3":
            found["whole, against FFmpeg"] = wrong(by_ffmpeg(path), whole)
        for what, (count, most) in found.items():
            print(f"{ending:4} {rate} Hz, {what:22} {count:5} of {len(whole)} samples wrong, by up to {most:.2f}")
        cut = [found[f"blocks of {size}"] for size in (1_024, 4_096)]
        holds.append((found["parts"][0] > 100) == (ending == "mp3" and rate == 24_000))
        holds.append(all((count > 100 and most > 0.05) == (ending == "mp3") for count, most in cut))
        holds.append(found["said to be a stream"][0] == 0 == found.get("whole, against FFmpeg", (0,))[0])
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen: blocks of an MP3 are other samples than the whole of it")
PYTHON
"$work/venv/bin/python" "$work/blocks.py" "$work" 2> "$work/mpg123" || { grep -v layer3 "$work/mpg123"; exit 1; }
