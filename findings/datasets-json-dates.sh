#!/usr/bin/env bash
# Hugging Face datasets and a manifest in JSON Lines whose ids are dates.
#
# One would guess: what stands in quotes in JSON is a text. CSV has to guess what a column is; of JSON Lines one knows,
# which is why manifests of speech are written in it. And who gives `features=` with Value("string") gets texts.
#
# It is so: a column whose texts all look like dates or times is a column of times. Recordings that are called by their
# day ("2024-01-05") have ids of the type timestamp[s], which as texts are "2024-01-05 00:00:00", and find neither their
# file nor their row elsewhere. A time with an offset ("10:00:00+03:00") becomes another one, in UTC. With `features=` the
# column is one of texts, and of these other texts: it is made of the times. One id that is no date keeps all of them as
# they are, so it hangs on the other rows, and of two splits of one dataset one has texts and the other times. It is decided
# by the first 10 MB: where the first other id comes behind them, loading fails. A letter before each id helps.
#
# Seen on 2026-11-29 with datasets 5.2.0 and pyarrow 26.0.1. Source: this output; Arrow's documentation of its reader of
# JSON, "automatic type inference"; the 10 MB are `chunksize` of datasets' JsonConfig.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1

cat > "$work/dates.py" <<'PYTHON'
import json
import sys

import datasets
import pyarrow
from datasets import Features, Value, load_dataset
from datasets.exceptions import DatasetGenerationError

datasets.disable_progress_bars()
print("datasets", datasets.__version__, "pyarrow", pyarrow.__version__)
folder = sys.argv[1]


def load(name, ids, text="نعم", **how):
    """Give the type of the ids of a manifest, and the first of them as a text."""
    path = f"{folder}/{name}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": each, "text": text}, ensure_ascii=False) + "\n" for each in ids)
    try:
        rows = load_dataset("json", data_files=path, split="train", cache_dir=f"{folder}/cache", **how)
    except DatasetGenerationError as error:
        found = type(error).__name__, str(error.__cause__)
    else:
        found = rows.features["id"].dtype, str(rows[0]["id"])
    print(f"{name:22} {ids[0]!r}: {': '.join(found)}")
    return found


days = [f"2024-{1 + number // 28:02}-{1 + number % 28:02}" for number in range(336)]
texts = Features({"id": Value("string"), "text": Value("string")})
holds = {
    "days are times": load("train", days[:300]) == ("timestamp[s]", "2024-01-01 00:00:00"),
    "one other id, and they are texts": load("test", [*days[300:], "intro"])[0] == "string",
    "an offset is gone": load("offset", ["2024-01-05T10:00:00+03:00"]) == ("timestamp[s]", "2024-01-05 07:00:00"),
    "behind 10 MB it fails": load("long", [*days * 100, "intro"], "x" * 400)[0] == "DatasetGenerationError",
    "told the type, other texts": load("told", days, features=texts) == ("string", "2024-01-01 00:00:00"),
    "with a letter what they are": load("letter", [f"d{day}" for day in days]) == ("string", f"d{days[0]}"),
}
for what, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", what)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" "$work/dates.py" "$work" 2> "$work/log" ||
    { cat "$work/log"; exit 1; }
