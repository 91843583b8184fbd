#!/usr/bin/env bash
# Hugging Face datasets: a ClassLabel of speakers who are called by numbers.
#
# One would guess: ClassLabel(names=["19", "26", "103"]) takes these three names and no other, whether they stand in
# the manifest as texts or as numbers. A speaker "1", who is not in the list, is an error, as a speaker "anna" is.
#
# It is so: a text that is no name and looks like a number is taken for an index: "1" becomes speaker "26", the second
# of the list, without a word. Only an index beyond the list raises, so the more speakers there are, the less is
# found out. And a column of numbers (which JSON Lines and CSV make of such ids) is not looked at by cast_column at
# all: each number stays what it is, and is an index from then on. Of thirty clips whose speakers 1 to 30 are all in
# the list, all thirty get the next speaker; a 500 stands in a column of three classes until somebody asks for its
# name. With `features=` from the start that one does raise. To make texts of the column and look for those
# that are no names, or to put a letter before them ("s19"), gives an error where there is one.
#
# Seen on 2026-11-29 with datasets 5.2.0. Source: this output; features.py, ClassLabel._strval2int, which tries
# int(value) behind the names; table.py, table_cast, which leaves columns alone whose Arrow type stays the same.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet datasets==5.2.0

cat > "$work/speakers.py" <<'PYTHON'
import json
import sys

import datasets
from datasets import ClassLabel, Dataset, Features, load_dataset

datasets.disable_progress_bars()
NAMES = ["19", "26", "103"]


def name_all(column, names):
    """Give the names that a column has, and what is no label at all."""
    return [names[label] if label < len(names) else f"label {label}" for label in column["speaker"][:]]


def cast(speakers, names):
    """Give the names that a column of speakers has after its cast, or what was raised."""
    try:
        column = Dataset.from_dict({"speaker": speakers}).cast_column("speaker", ClassLabel(names=names))
    except ValueError as error:
        return f"ValueError: {error}"
    return name_all(column, names)


def main(folder):
    print("datasets", datasets.__version__)
    many = [str(each) for each in range(1_000, 1_200)]
    holds = []
    for what, given, names, seen in (
        ("names", ["103", "19"], NAMES, ["103", "19"]),
        ("a name that is none", ["anna"], NAMES, "ValueError"),
        ("texts that are none", ["19", "1", "2"], NAMES, ["19", "26", "103"]),
        ("one of a long list", ["84"], many, ["1084"]),
        ("one beyond its end", ["1500"], many, "ValueError"),
        ("with a letter", ["s1"], ["s19", "s26"], "ValueError"),
        ("names as numbers", [19, 26], NAMES, ["label 19", "label 26"]),
        ("numbers that are none", [0, 1, 500], NAMES, ["19", "26", "label 500"]),
    ):
        got = cast(given, names)
        print(f"{what:22} {given!r:17} of {', '.join(names[:3])}{' …' if len(names) > 3 else ''}: {got}")
        holds.append(str(got).startswith(seen) if isinstance(seen, str) else got == seen)
    try:
        Dataset.from_dict({"speaker": [500]}, features=Features({"speaker": ClassLabel(names=NAMES)}))
    except ValueError as error:
        print("500 with features= at once: ValueError:", error)
    else:
        holds.append(False)

    held = Dataset.from_dict({"speaker": [500]}).cast_column("speaker", ClassLabel(names=NAMES))
    try:
        held.features["speaker"].int2str(held["speaker"][0])
    except ValueError as error:
        print("its name, where it came by cast_column: ValueError:", error)
    else:
        holds.append(False)

    own = [str(each) for each in range(1, 41)]
    for way, speaker in (("texts", str), ("numbers", int)):
        with open(f"{folder}/{way}.jsonl", "w") as file:
            for each in own[:30]:
                file.write(json.dumps({"file": f"{each}.wav", "speaker": speaker(each)}) + "\n")
        read = load_dataset("json", data_files=f"{folder}/{way}.jsonl", split="train", cache_dir=f"{folder}/cache")
        got = name_all(read.cast_column("speaker", ClassLabel(names=own)), own)
        wrong = sum(one != other for one, other in zip(got, own[:30]))
        print(f"a manifest of 30 clips, their speakers {way}, all of them in the list: {wrong} get another")
        holds.append(wrong == (30 if way == "numbers" else 0))
    if not all(holds):
        sys.exit(f"CHANGED, not so: {holds}")
    print("as seen: what is no name is an index")


if __name__ == "__main__":
    main(sys.argv[1])
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" "$work/speakers.py" "$work"
