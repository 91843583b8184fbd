"""A million rows to Parquet and WebDataset: memory, and time beside the script that people write.

    python tests/proofs/export_scale.py FOLDER [--rows 1000000]

FOLDER is the one of `exports.py`, whose environment has `datasets`. The script is
`Dataset.from_generator(...).to_parquet(...)` over the run's results.jsonl, with the clips' bytes in it
as they are in ours. It takes 20 GB there; peak memory is that of the process, as the system has it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from batchjobs.checkpoint import Checkpoint, JobRecord, Row  # noqa: E402
from batchjobs.files.atomic import publish  # noqa: E402
from batchjobs.outputs.writing import write_speech  # noqa: E402
from tests.builders import make_job, make_record, make_row, make_speech  # noqa: E402
from tests.dataset.runs import make_sound  # noqa: E402
from tests.proofs.exports import prepare  # noqa: E402

CLIPS: Final = 1_000
RATE: Final = 16_000
PAGE: Final = 10_000
MOST_MIB: Final = 300
FORMS: Final = ("parquet", "webdataset")
SCRIPT: Final = """
import json, sys
from pathlib import Path
from datasets import Audio, Dataset, Features, Value

run, target = Path(sys.argv[1]), sys.argv[2]

def rows():
    with open(run / "results.jsonl") as lines:
        for line in lines:
            row = json.loads(line)
            path = run / row["output"]
            yield {
                "audio": {"bytes": path.read_bytes(), "path": path.name},
                "id": row["id"],
                "text": row["text"],
                "voice": row["voice_id"],
                "seconds": row["frames"] / row["sample_rate"],
                "sample_rate": row["sample_rate"],
                "provider": row["provider"],
            }

text, number = Value("string"), Value("float64")
features = Features({
    "audio": Audio(), "id": text, "text": text, "voice": text, "seconds": number,
    "sample_rate": Value("int64"), "provider": text,
})
Dataset.from_generator(rows, features=features, cache_dir=target + ".cache").to_parquet(target)
"""
MEASURE: Final = """
import resource, runpy, sys, time
start = time.perf_counter()
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - start
    print(f"\\nMEASURED {seconds} {used.ru_utime + used.ru_stime} {used.ru_maxrss}", flush=True)
"""
EXPORT: Final = """
import sys
import batchjobs

report = batchjobs.export(sys.argv[1], batchjobs.ExportSettings(form=sys.argv[3]), output=sys.argv[2])
print(report.rows, report.bytes)
"""


def make_large_run(folder: Path, count: int) -> None:
    """Make a run of so many rows whose clips are links to a thousand."""
    written = []
    for number in range(CLIPS):
        pcm = make_sound(0.6 + number % 7 / 100, RATE, 100 + number)[: 2 * RATE // 10]
        clip = write_speech(folder, f"clips/{number}.wav", pcm, RATE)
        publish(clip.targets)
        written.append((clip, len(pcm) // 2))
    speech = make_speech(RATE)
    with Checkpoint.open(folder) as checkpoint, (folder / "results.jsonl").open("w") as results:
        checkpoint.staging.begin()
        for start in range(0, count, PAGE):
            rows: list[Row] = []
            records: list[JobRecord] = []
            for number in range(start, min(count, start + PAGE)):
                clip, frames = written[number % CLIPS]
                text = f"العربية لغةٌ جميلة؛ فاستمع إليها على مهل، {number} مرّة."
                output = f"audio/{number // 1_000}/{number}.wav"
                row = {"id": f"{number:07}", "text": text, "voice_id": f"voice {number % 50}"}
                job = make_job(
                    row["id"],
                    text,
                    row=row,
                    provider="munsit",
                    speech=replace(speech, voice_id=row["voice_id"]),
                )
                content = msgspec.json.encode(job)
                rows.append(
                    make_row(number + 1, id=row["id"], output=output, place=output, job=content)
                )
                file = replace(clip.files[0], path=output)
                record = make_record(number + 1, id=row["id"], output=output, provider="munsit")
                record = replace(
                    record,
                    files=(file,),
                    frames=frames,
                    sample_rate=RATE,
                    audio_seconds=frames / RATE,
                    pcm_sha256=clip.pcm_sha256,
                )
                records.append(record)
                target = folder / output
                if number % 1_000 == 0:
                    target.parent.mkdir(parents=True)
                target.hardlink_to(folder / clip.files[0].path)
                ours = {"output": output, "frames": frames, "sample_rate": RATE}
                results.write(json.dumps(row | ours | {"provider": "munsit"}) + "\n")
            checkpoint.staging.add(rows)
            checkpoint.commit(records=records)
        checkpoint.staging.adopt({})


def measure(python: Path | str, script: Path, *arguments: object) -> tuple[float, float, float]:
    """Run a script in a process of its own: seconds, processor seconds, peak MiB."""
    command = [str(python), "-c", MEASURE, str(script), *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seconds, processor, peak = map(float, done.stdout.split("MEASURED")[1].split())
    return seconds, processor, peak / 1024


def main() -> None:
    """Measure, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    folder = given.folder.resolve()
    python, _, _ = prepare(folder)
    work = folder / f"scale-{given.rows}"
    if not (work / "ready").exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        start = time.perf_counter()
        make_large_run(work / "run", given.rows)
        (work / "ready").touch()
        print(
            f"made a run of {given.rows:,} rows in {time.perf_counter() - start:.0f} s", flush=True
        )
    script, export = work / "script.py", work / "export.py"
    script.write_text(SCRIPT)
    export.write_text(EXPORT)
    # Side by side, round by round, and the least of each: what else goes on only adds.
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(given.rounds):
        found.setdefault("script", []).append(measure_script(python, script, work))
        for form in FORMS:
            target = work / form
            shutil.rmtree(target, ignore_errors=True)
            ours = tell(form, measure(sys.executable, export, work / "run", target, form))
            found.setdefault(form, []).append(ours)
            shutil.rmtree(target)
    least = {what: [min(each) for each in zip(*all_, strict=True)] for what, all_ in found.items()}
    seconds, processor, _ = least["script"]
    for form in FORMS:
        our_seconds, our_processor, peak = least[form]
        print(
            f"{form}: {our_seconds / seconds:.2f} of the script's time, "
            f"{our_processor / processor:.2f} of its processor time, {peak:.0f} MiB"
        )
        assert peak < MOST_MIB, form


def measure_script(python: Path, script: Path, work: Path) -> tuple[float, float, float]:
    """Run the script that people write, and remove what it made."""
    target = work / "script.parquet"
    found = tell("script", measure(python, script, work / "run", target))
    target.unlink()
    shutil.rmtree(f"{target}.cache", ignore_errors=True)
    return found


def tell(what: str, found: tuple[float, float, float]) -> tuple[float, float, float]:
    """Print what was measured."""
    seconds, processor, peak = found
    print(f"{what}: {seconds:.0f} s, {processor:.0f} s of processor, {peak:.0f} MiB", flush=True)
    return found


if __name__ == "__main__":
    main()
