#!/usr/bin/env bash
# Hugging Face datasets: Dataset.to_parquet() of a dataset with sound.
#
# One would guess: to_parquet() writes what the dataset holds, sound and all, as save_to_disk() does.
# The column's type (Audio) is one of bytes and a path, and a Parquet file is what one gives away.
#
# It is so: of sound that came from files, as clips in a folder do, it writes the path on this machine, and no bytes.
# The file loads, and its rows, columns and types are right. Elsewhere, or once the folder is gone, each row is a path
# to nothing: the sound was never in it. save_to_disk() puts the bytes in. To map the table through
# `embed_table_storage` first helps.
#
# Seen on 2026-11-29 with datasets 5.2.0 and pyarrow 26.0.1. Source: this output; io/parquet.py, ParquetDatasetWriter,
# which writes the table as it is; issue 6923 of datasets, open since 2024.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1

cat > "$work/keep.py" <<'PYTHON'
import os
import shutil
import sys
import wave

import datasets
import pyarrow
import pyarrow.parquet
from datasets import Audio, Dataset, load_dataset, load_from_disk
from datasets.table import embed_table_storage

datasets.disable_progress_bars()
print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)
folder, CLIPS, SECONDS = sys.argv[1], 20, 5
os.makedirs(f"{folder}/clips")
for number in range(CLIPS):
    with wave.open(f"{folder}/clips/{number}.wav", "wb") as clip:
        clip.setparams((1, 2, 16_000, 0, "NONE", ""))
        clip.writeframes(os.urandom(2 * 16_000 * SECONDS))
sound = sum(os.path.getsize(f"{folder}/clips/{number}.wav") for number in range(CLIPS))
paths = [f"{folder}/clips/{number}.wav" for number in range(CLIPS)]
made = Dataset.from_dict({"audio": paths}).cast_column("audio", Audio(decode=False))  # decoding would need torch

made.to_parquet(f"{folder}/set.parquet")
made.save_to_disk(f"{folder}/saved")
with_bytes = made.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
with_bytes.to_parquet(f"{folder}/embedded.parquet")
shutil.rmtree(f"{folder}/clips")


def look(what, rows):
    """Say how many bytes of sound there are."""
    held = sum(len(row["bytes"] or b"") for row in rows)
    path = rows[0]["path"].replace(folder, "…")
    print(f"{what:30} {len(rows)} rows, {held:,} of {sound:,} bytes of sound, path {path!r}")
    return held


def read(path):
    return pyarrow.parquet.read_table(path)["audio"].to_pylist()


kept = [
    look("to_parquet", read(f"{folder}/set.parquet")),
    look("save_to_disk", load_from_disk(f"{folder}/saved")["audio"][:]),
    look("to_parquet of embedded bytes", read(f"{folder}/embedded.parquet")),
]
loaded = load_dataset("parquet", data_files=f"{folder}/set.parquet", split="train", cache_dir=f"{folder}/cache")
print("loaded again:", loaded.num_rows, "rows,", loaded.features["audio"])
lost = [row["path"] for row in loaded["audio"] if row["bytes"] is None and not os.path.exists(row["path"])]
print("rows that lead to nothing:", len(lost))
if kept != [0, sound, sound] or len(lost) != CLIPS:
    sys.exit("CHANGED, not so")
print("as seen: to_parquet kept paths, the others the sound")
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" "$work/keep.py" "$work"
