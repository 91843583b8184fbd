#!/usr/bin/env bash
# python-soundfile: a loud Ogg Vorbis or Opus file, read as int16.
#
# One would guess: soundfile.read(path, dtype="int16") gives what dtype="float32" gives, times 32,767, and what is
# beyond full scale is cut there: soundfile turns libsndfile's clipping on whenever it opens a file. A recording
# whose peaks stayed below full scale before it was encoded has nothing to cut anyway.
#
# It is so: a lossy codec gives peaks back a little higher than they were, and float32 has them, as 1.1 or so.
# As int16 such samples of Vorbis and Opus wrap round: the loudest moment of a vowel jumps from +32,767 to about
# -32,000 and back, a crackle in speech that was limited to -1 dB, as audiobooks are. int32 wraps, too. MP3 by the
# same call is cut as one would guess, and so are the same two files by FFmpeg: it is no matter of the files.
# Nothing is raised. To read float32, and to cut it oneself, helps.
#
# Seen on 2026-11-29 with soundfile 0.14.0, its libsndfile 1.2.2, and PyAV 18.1.0 (libavcodec 62.28.102) beside
# it. Source: this output; libsndfile's issue 194 (open since 2017) and its pull request 746, which was closed:
# ogg_vorbis.c and ogg_opus.c convert by themselves, and do not look at SFC_SET_CLIPPING.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6

cat > "$work/loud.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

RATE, SECONDS, PEAK = 16_000, 6, 10 ** (-1 / 20)
FORMS = {"VORBIS": "OGG", "OPUS": "OGG", "MPEG_LAYER_III": "MP3"}


def vowels():
    """Give a voice of 120 Hz, limited as a master is, with its peaks at -1 dB."""
    time = np.arange(RATE * SECONDS) / RATE
    pitch = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    wave = sum(np.sin(each * pitch + each * each) / each for each in range(1, 25))
    limited = np.tanh(3 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)))
    return (limited * PEAK / np.abs(limited).max()).astype(np.float32)


def read_by_ffmpeg(path):
    with av.open(path) as file:
        cut = av.AudioResampler(format="s16", layout="mono")
        parts = [part for frame in file.decode(audio=0) for part in cut.resample(frame)]
        return np.concatenate([part.to_ndarray().ravel() for part in parts])


def jumps(samples, full):
    """Count the steps of more than full scale from one sample to the next."""
    return int((np.abs(np.diff(samples.astype(np.float64))) > full).sum())


print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "PyAV", av.__version__)
voice = vowels()
print(f"written: peak {np.abs(voice).max():.2f}, jumps {jumps(voice, 1)}")
found = {}
for subtype, form in FORMS.items():
    path = f"{sys.argv[1]}/voice.{form.lower()}"
    soundfile.write(path, voice, RATE, format=form, subtype=subtype)
    floats, _ = soundfile.read(path, dtype="float32")
    whole, _ = soundfile.read(path, dtype="int16")
    wide, _ = soundfile.read(path, dtype="int32")
    other = read_by_ffmpeg(path)
    counts = jumps(floats, 1), jumps(whole, 32_768), jumps(wide, 2**31), jumps(other, 32_768)
    over = int((np.abs(floats) > 1).sum())
    print(f"{subtype}: peak {np.abs(floats).max():.2f} in float32, {over} samples over full scale")
    print("  jumps in float32 {}, int16 {}, int32 {}, by FFmpeg in s16 {}".format(*counts))
    found[subtype] = [bool(count) for count in counts]
    assert over, "nothing is over full scale: the trial shows nothing"
if found != {
    "VORBIS": [False, True, True, False],
    "OPUS": [False, True, True, False],
    "MPEG_LAYER_III": [False, False, False, False],
}:
    sys.exit("CHANGED, not so")
print("as seen: Vorbis and Opus wrap round, MP3 does not, and neither does FFmpeg")
PYTHON
"$work/venv/bin/python" "$work/loud.py" "$work"
