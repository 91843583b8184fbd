#!/usr/bin/env bash
# python-soundfile: what closing a file that was written costs.
#
# One would guess: soundfile.write() leaves the bytes with the operating system, as the wave module and open()
# do, and whoever wants them on the disk calls os.fsync() on top.
#
# Closing a SoundFile calls libsndfile's sf_write_sync() first, which is an fsync(): each file that is written
# is on the disk before write() returns. Whoever writes a hundred thousand clips waits for the disk as often,
# and whoever syncs them too does it twice. It is no safe write all the same: neither the name in its folder nor
# a rename is synced. For a file-like object of Python's it calls fsync(-1), which fails and is not heeded.
#
# Seen on 2026-11-29 with soundfile 0.14.0 and its libsndfile 1.2.2 on Linux; source: SoundFile.close() and
# flush(), and this output. Needs strace.
set -euo pipefail

command -v strace > /dev/null || { echo "strace is needed: it counts the calls"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6

cat > "$work/write.py" <<'PYTHON'
import io
import sys
import wave
from importlib.metadata import version

import numpy as np
import soundfile

FILES = 20
way, folder = sys.argv[1:]
samples = (np.sin(np.arange(24_000) / 20) * 8_000).astype("<i2")
for number in range(FILES):
    path = f"{folder}/{way}-{number}.wav"
    if way == "soundfile":
        soundfile.write(path, samples, 24_000)
    elif way == "object":
        held = io.BytesIO()
        soundfile.write(held, samples, 24_000, format="WAV")
        with open(path, "wb") as file:
            file.write(held.getvalue())
    else:
        with wave.open(path, "wb") as file:
            file.setparams((1, 2, 24_000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
if way == "soundfile":
    print("soundfile", version("soundfile"), "libsndfile", soundfile.__libsndfile_version__)
PYTHON

declare -A seen
for way in soundfile object wave; do
    strace -f -e trace=fsync,fdatasync -o "$work/$way.txt" "$work/venv/bin/python" "$work/write.py" "$way" "$work"
    seen[$way]=$(grep -c 'sync(.* = 0$' "$work/$way.txt" || true)
    echo "$way: 20 files, ${seen[$way]} of them synced"
done
[[ ${seen[soundfile]} == 20 && ${seen[object]} == 0 && ${seen[wave]} == 0 ]] || {
    echo "CHANGED: it was 20, 0, 0"
    exit 1
}
