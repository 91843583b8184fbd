"""Every export of 1,000 rows, loaded by the real library at its newest version.

    python tests/proofs/exports.py FOLDER [--rows 1000]

FOLDER gets two environments (3 GB, with torch), made the first time; give it again to use them again.
The rows are Arabic and English with diacritics, quotes, pipes and newlines, under ids such as ``007``
and ``1e5``, in four formats and two rates. Each library must give every text, id and number of frames
as the run has it, in the split where it belongs, streamed too; `dslint` must find nothing wrong.
NeMo and coqui-tts are too large to install: of their wheels only the files that read are imported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import batchjobs  # noqa: E402
from batchjobs.dataset.splits import normalise_text  # noqa: E402
from batchjobs.options.dataset import DATASET_FORMS, ExportSettings  # noqa: E402
from tests.dataset.runs import frames_of, make_run  # noqa: E402

LIBRARIES: Final = (
    "torch==2.14.1",
    "torchcodec==0.17.0",
    "torchaudio==2.11.0",
    "datasets==5.2.0",
    "lhotse==1.33.0",
    "urllib3",
    "webdataset==1.0.2",
    "pyarrow==26.0.1",
    "soundfile==0.14.0",
)
WHEELS: Final = ("nemo_toolkit==3.0.0", "coqui-tts==0.28.0")
SHARES: Final = "train=90,validation=5,test=5"
FORMATS: Final = ("wav", "flac", "mp3", "ogg")
ARABIC: Final = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ رقم {}",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f {}",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها {} مرّة.",
    "می\u200cخواهم لا\u200dإله\nإلا الله {}",
)
ENGLISH: Final = (
    'He said: "Run|it again", {} times, and nothing was done twice!',
    '"Quoted" at the start, and a tab\tin the middle of {}',
    "line one\u2028line two | {}\r\nline three",
    "'tis naïve, Ångström, 東京, 🎧 = {}",
)


def make_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows that lose something where a form or a library is careless."""
    texts = (*ARABIC, *ENGLISH)
    odd = ("007", "1e5", "a.b", "صباح", "test-3", "x/y z", "True", "NA", "1.10", "dev")
    for number in range(count):
        ending = FORMATS[number % len(FORMATS)]
        row = {
            "id": odd[number] if number < len(odd) else f"{number:05}",
            "text": texts[number % len(texts)].format(number // 2 if number % 5 == 0 else number),
            "output": f"audio/{number}.{ending}",
            "voice_id": f"voice {number % 7}",
            "rate": (16_000, 24_000)[number // 4 % 2],
            "seconds": 0.6 + number % 37 / 61,
            "note": ("NA", "2026-01-01", "007", "")[number % 4],
            "score": 1 if number < 200 else number / 8,
        }
        if number % 3:
            row["late"] = number
        yield row


def prepare(folder: Path) -> tuple[Path, Path, Path]:
    """Make the environments; gives their interpreters, and where the unpacked wheels are."""
    real, lint, readers = folder / "real", folder / "lint", folder / "readers"
    for place, packages in ((real, LIBRARIES), (lint, ("dslint==0.1.0",))):
        if not (place / "ready").exists():
            venv.create(place, with_pip=True)
            subprocess.run([place / "bin/pip", "install", "-q", *packages], check=True)
            (place / "ready").touch()
    if not readers.exists():
        wheels = folder / "wheels"
        command: list[str | Path] = [
            real / "bin/pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            wheels,
            *WHEELS,
        ]
        subprocess.run(command, check=True)
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(readers)
    return real / "bin/python", lint / "bin/dslint", readers


def expect(run: Path, dataset: Path) -> dict[str, dict[str, Any]]:
    """What each row must be: of the run, and its split by the export's own metadata."""
    import pyarrow.parquet as pq

    frames = frames_of(run)
    expected = {}
    for place in sorted(dataset.glob("*/metadata.parquet")):
        for row in pq.read_table(place).to_pylist():
            count, rate = frames[row["id"]]
            split = place.parent.name
            expected[row["id"]] = {
                "text": row["text"],
                "frames": count,
                "rate": rate,
                "split": split,
            }
    assert expected.keys() == frames.keys()
    return expected


def check_leakage(expected: dict[str, dict[str, Any]]) -> None:
    """See that no text is in two splits, however it is written."""
    splits: dict[str, set[str]] = {}
    for row in expected.values():
        splits.setdefault(normalise_text(row["text"]), set()).add(row["split"])
    leaked = [text for text, names in splits.items() if len(names) > 1]
    assert not leaked, leaked
    counts = {name: 0 for names in splits.values() for name in names}
    for row in expected.values():
        counts[row["split"]] += 1
    print(f"splits: {counts}; texts in two of them: {len(leaked)}")


def lint_flat(dslint: Path, dataset: Path, folder: Path) -> None:
    """Let dslint look at the splits: it takes flat files, so they are linked side by side."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for metadata in dataset.glob("*/metadata.parquet"):
        (folder / f"{metadata.parent.name}.parquet").symlink_to(metadata.resolve())
    command: list[str | Path] = [dslint, folder, "--duration", "seconds", "--no-color"]
    done = subprocess.run(command, env=quiet(), capture_output=True, text=True, check=False)
    print("dslint:", done.stdout.splitlines()[-1], f"(exit code {done.returncode})")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS  leakage" in done.stdout, done.stdout


def quiet() -> dict[str, str]:
    """An environment in which nothing asks the network or draws bars."""
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_CACHE": os.environ["PROOF_CACHE"],
    }


def main() -> None:
    """Export and load everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--form", action="append", dest="forms", choices=(*DATASET_FORMS, "shar"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = given.folder.resolve()
    python, dslint, readers = prepare(folder)
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    os.environ["PROOF_CACHE"] = str(work / "cache")
    run = make_run(work / "run", make_rows(given.rows))
    expected_file = work / "expected.json"
    clips = batchjobs.export(run, ExportSettings(split=SHARES), output=work / "clips")
    expected = expect(run, clips.path)
    check_leakage(expected)
    expected_file.write_text(json.dumps(expected))
    lint_flat(dslint, clips.path, work / "flat")
    for form in given.forms or (*DATASET_FORMS, "shar"):
        settings = ExportSettings(
            form="lhotse" if form == "shar" else form,
            is_shar=form == "shar",
            split=SHARES,
            shard_megabytes=5,
        )
        report = batchjobs.export(run, settings, output=work / form)
        assert report.rows == given.rows
        print(f"{form}: {report.rows:,} rows, {report.seconds:,.0f} s, made anew: {report.made:,}")
        script = ROOT / "tests/proofs/readers.py"
        command: list[str | Path] = [python, script, form, report.path, expected_file, readers]
        subprocess.run(command, env=quiet(), cwd=work, check=True)
    print("all of it as it should be")


if __name__ == "__main__":
    main()
