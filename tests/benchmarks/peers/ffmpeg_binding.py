"""The two command lines of FFmpeg that make the same book: measure it, then encode it with marks.

The same filters and the same encoder's search as ours: its default one takes four times as long.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path

from tests.benchmarks.books import make_run

_TARGET_LUFS = -19.0
_LIMIT = 10 ** (-1.8 / 20)


def main() -> None:
    """Make it, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=13, help="chapters of the book")
    parser.add_argument("--scratch", type=Path, required=True)
    given = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is not installed: apt-get install ffmpeg")
    paths = sorted((make_run(given.scratch, given.sessions) / "audio").iterdir())
    names, marks = given.scratch / "names.txt", given.scratch / "marks.txt"
    names.write_text("".join(f"file '{path}'\n" for path in paths), encoding="utf-8")
    marks.write_text(";FFMETADATA1\n" + "".join(_write_marks(paths)), encoding="utf-8")
    with wave.open(str(paths[0])) as file:
        rate = file.getframerate()
    ffmpeg = ["ffmpeg", "-nostdin", "-hide_banner", "-f", "concat", "-safe", "0", "-i", str(names)]
    began = time.perf_counter()
    meter = [*ffmpeg, "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"]
    said = subprocess.run(meter, check=True, capture_output=True, text=True).stderr
    (measured,) = re.findall(r"I:\s+(-[\d.]+) LUFS", said)[-1:]
    filters = (
        f"volume={_TARGET_LUFS - float(measured):.2f}dB:precision=float,aresample={4 * rate},"
        f"alimiter=limit={_LIMIT:.4f}:level=0:attack=5:release=50:latency=1,aresample={rate}"
    )
    making = ["-i", str(marks), "-map", "0:a", "-map_chapters", "1", "-af", filters]
    making += ["-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k", "-movflags", "+faststart"]
    output = given.scratch / "theirs.m4b"
    subprocess.run([*ffmpeg, *making, "-v", "error", "-y", "-f", "mp4", str(output)], check=True)
    print(
        json.dumps(
            {
                "wall_seconds": round(time.perf_counter() - began, 4),
                "sessions": given.sessions,
                "messages": 0,
                "bytes": 0,
            }
        )
    )


def _write_marks(paths: list[Path]) -> list[str]:
    marks, at = [], 0
    for path in paths:
        with wave.open(str(path)) as file:
            end, rate = at + file.getnframes(), file.getframerate()
        marks.append(f"[CHAPTER]\nTIMEBASE=1/{rate}\nSTART={at}\nEND={end}\ntitle={path.stem}\n")
        at = end
    return marks


if __name__ == "__main__":
    main()
