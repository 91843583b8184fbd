"""Loads exported datasets by the real libraries; run by `exports.py` in their own environment.

    python readers.py FORM FOLDER EXPECTED.json READERS

Exits with 0 if every row is as expected. READERS holds the unpacked wheels of NeMo and coqui-tts,
of which only the files that read manifests are imported: the whole of them is gigabytes.
"""

import ast
import importlib
import itertools
import json
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, Any]]
"""By id: `text`, `frames`, `rate` and `split` of each row."""


def load(name: str) -> Any:
    """Import what this project's own environment does not have."""
    return importlib.import_module(name)


class Comparison:
    """Compares what a library gives with what was exported."""

    def __init__(self, expected: Rows) -> None:
        self.expected = expected
        self.seen: list[str] = []

    def see(
        self, name: object, text: object, *, frames: int | None, rate: int | None, split: str = ""
    ) -> None:
        """Compare a row."""
        assert isinstance(name, str), f"the id {name!r} is no text"
        row = self.expected[name]
        assert text == row["text"], (name, text, row["text"])
        assert frames in {None, row["frames"]}, (name, frames, row["frames"])
        assert rate in {None, row["rate"]}, (name, rate, row["rate"])
        assert split in {"", row["split"]}, (name, split, row["split"])
        self.seen.append(name)

    def end(self, what: str) -> None:
        """See that every row came once."""
        assert sorted(self.seen) == sorted(self.expected), f"{what}: {len(self.seen)} rows"
        print(f"  {what}: {len(self.seen):,} rows as they should be")
        self.seen = []


def see_hf_rows(found: Comparison, dataset: Any, what: str) -> None:
    """Compare what `datasets` gives, whole or streamed."""
    for split, rows in dataset.items():
        for row in rows:
            samples = row["audio"].get_all_samples()
            shape = samples.data.shape
            assert row["audio"]["array"].shape == shape[1:]
            found.see(
                row["id"], row["text"], frames=shape[1], rate=samples.sample_rate, split=split
            )
    found.end(what)


def see_hf(found: Comparison, folder: Path) -> None:
    """Load a folder of clips."""
    datasets = load("datasets")
    for streaming in (False, True):
        dataset = datasets.load_dataset("audiofolder", data_dir=str(folder), streaming=streaming)
        see_hf_rows(found, dataset, f"datasets, audiofolder, streaming={streaming}")
        dataset = datasets.load_dataset(str(folder), streaming=streaming)
        see_hf_rows(found, dataset, f"datasets, by the card, streaming={streaming}")


def see_parquet(found: Comparison, folder: Path) -> None:
    """Load shards with the sound inside."""
    datasets = load("datasets")
    for streaming in (False, True):
        dataset = datasets.load_dataset(str(folder), streaming=streaming)
        see_hf_rows(found, dataset, f"datasets, parquet, streaming={streaming}")


def see_webdataset(found: Comparison, folder: Path) -> None:
    """Read shards by WebDataset, and by `datasets`."""
    wds, datasets, soundfile = load("webdataset"), load("datasets"), load("soundfile")
    io = load("io")
    splits = sorted({row["split"] for row in found.expected.values()})
    shards = {split: sorted(map(str, folder.glob(f"{split}-*.tar"))) for split in splits}
    for split in splits:
        url = f"{folder}/{split}-{{000000..{len(shards[split]) - 1:06}}}.tar"
        for sample in wds.WebDataset(url, shardshuffle=False).decode():
            (ending,) = {"wav", "flac", "mp3", "ogg"} & sample.keys()
            samples, rate = soundfile.read(io.BytesIO(sample[ending]))
            row = sample["json"]
            assert sample["txt"] == row["text"]
            found.see(row["id"], row["text"], frames=len(samples), rate=rate, split=split)
    found.end("webdataset")
    for named, streaming in itertools.product((False, True), (False, True)):
        where = {"path": "webdataset", "data_files": shards} if named else {"path": str(folder)}
        dataset = datasets.load_dataset(**where, streaming=streaming)
        for split, rows in dataset.items():
            for sample in rows:
                row = sample["json"]
                (ending,) = {"wav", "flac", "mp3", "ogg"} & sample.keys()
                samples = sample[ending].get_all_samples()
                frames, rate = samples.data.shape[1], samples.sample_rate
                found.see(row["id"], sample["txt"], frames=frames, rate=rate, split=split)
        found.end(f"datasets, webdataset{'' if named else ' by the card'}, streaming={streaming}")


def see_cuts(found: Comparison, cuts: Iterable[Any], split: str) -> None:
    """Compare cuts of Lhotse's."""
    for cut in cuts:
        (supervision,) = cut.supervisions
        samples = cut.load_audio()
        assert samples.shape[1] == cut.num_samples == cut.recording.num_samples
        assert supervision.id == cut.custom["id"] == supervision.custom["id"]
        found.see(
            supervision.id,
            supervision.text,
            frames=samples.shape[1],
            rate=cut.sampling_rate,
            split=split,
        )


def see_lhotse(found: Comparison, folder: Path) -> None:
    """Load and validate manifests."""
    lhotse = load("lhotse")
    for split in sorted({row["split"] for row in found.expected.values()}):
        cuts = lhotse.CutSet.from_file(folder / f"cuts_{split}.jsonl.gz")
        lhotse.validate(cuts, read_data=True)
        recordings = lhotse.RecordingSet.from_file(folder / f"recordings_{split}.jsonl.gz")
        supervisions = lhotse.SupervisionSet.from_file(folder / f"supervisions_{split}.jsonl.gz")
        lhotse.validate(recordings, read_data=True)
        lhotse.validate(supervisions)
        lhotse.qa.validate_recordings_and_supervisions(
            recordings=recordings, supervisions=supervisions, read_data=True
        )
        see_cuts(found, cuts, split)
    found.end("lhotse")


def see_shar(found: Comparison, folder: Path) -> None:
    """Read Lhotse's shards."""
    lhotse = load("lhotse")
    for split in sorted({row["split"] for row in found.expected.values()}):
        see_cuts(found, lhotse.CutSet.from_shar(in_dir=str(folder / split)), split)
    found.end("lhotse, shar")


def pretend_packages(root: Path, *names: str) -> None:
    """Let the files of packages be imported without what their ``__init__`` files would bring."""
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = module


def take_function(path: Path, name: str, **names: object) -> None:
    """Let one function of a file be imported, without what the file would bring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    module = types.ModuleType("nemo.collections.asr.data.audio_to_text")
    vars(module).update(names)
    exec(compile(ast.Module(found, []), str(path), "exec"), vars(module))
    sys.modules[module.__name__] = module


def see_nemo(found: Comparison, folder: Path, readers: Path) -> None:
    """Read manifests by NeMo's own files."""
    pretend_packages(
        readers,
        *"nemo nemo.collections nemo.collections.common nemo.collections.common.data".split(),
        *"nemo.collections.common.data.lhotse nemo.collections.common.parts".split(),
        *"nemo.collections.common.parts.preprocessing nemo.utils".split(),
        *"nemo.collections.asr nemo.collections.asr.data".split(),
    )
    sys.modules["nemo"].constants = types.SimpleNamespace(  # type: ignore[attr-defined]
        NEMO_ENV_DATA_STORE_CACHE_DIR="X", NEMO_ENV_DATA_STORE_CACHE_SHARED="Y"
    )
    sys.modules["nemo.utils"].logging = importlib.import_module("logging")  # type: ignore[attr-defined]
    modes = types.ModuleType("nemo.utils.nemo_logging")
    modes.LogMode = types.SimpleNamespace(ONCE=1)  # type: ignore[attr-defined]
    sys.modules["nemo.utils.nemo_logging"] = modes
    take_function(
        readers / "nemo/collections/asr/data/audio_to_text.py",
        "expand_sharded_filepaths",
        braceexpand=load("braceexpand"),
    )
    lhotse = load("lhotse")
    adapters = load("nemo.collections.common.data.lhotse.nemo_adapters")
    manifest = load("nemo.collections.common.parts.preprocessing.manifest")
    for split in sorted({row["split"] for row in found.expected.values()}):
        path = str(folder / f"{split}.json")
        cuts = list(lhotse.CutSet(adapters.LazyNeMoIterator(path)))
        items = list(manifest.item_iter(path))
        assert len(cuts) == len(items)
        for cut, item in zip(cuts, items, strict=True):
            (supervision,) = cut.supervisions
            assert supervision.text == item["text"]
            assert item["duration"] == cut.duration
            assert Path(item["audio_file"]).samefile(cut.recording.sources[0].source)
            found.see(
                cut.custom["id"],
                supervision.text,
                frames=cut.load_audio().shape[1],
                rate=cut.sampling_rate,
                split=split,
            )
    found.end("nemo")


def clean(text: str) -> str:
    """A text as it may stand in a table without quotes, said again."""
    for broken in "|\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        text = text.replace(broken, "\n")
    parts = [part.strip() for part in text.split("\n")]
    return (" ".join(filter(None, parts)) if parts[1:] else text).lstrip("\"'")


def see_ljspeech(found: Comparison, folder: Path, readers: Path) -> None:
    """Load by torchaudio, Lhotse and coqui-tts, which all know names only: ids are beside."""
    for split in sorted({row["split"] for row in found.expected.values()}):
        place = folder / split
        lines = (place / "rows.jsonl").read_bytes().split(b"\n")
        ids = {row["file"]: row["id"] for row in map(json.loads, filter(None, lines))}
        for name, rows in {
            "torchaudio": read_by_torchaudio(place),
            "lhotse": read_by_lhotse(place),
            "coqui-tts": read_by_coqui(place, readers),
        }.items():
            count = 0
            for file, text, frames, rate in rows:
                row = found.expected[ids[file]]
                assert text.split() == clean(row["text"]).split(), (name, text, row["text"])
                assert text == clean(row["text"]) or name == "coqui-tts", (name, text)
                assert (frames, rate) in {(row["frames"], row["rate"]), (0, 0)}
                assert row["split"] == split
                count += 1
                if name == "torchaudio":
                    found.seen.append(ids[file])
            assert count == len(ids), (name, count)
    found.end("torchaudio, lhotse, coqui-tts")


def read_by_torchaudio(place: Path) -> Iterator[tuple[str, str, int, int]]:
    """Read the names, texts and sounds."""
    torchaudio = load("torchaudio")
    root = place.parent.parent / f"{place.name}-root"
    root.mkdir(exist_ok=True)
    link = root / "LJSpeech-1.1"
    if not link.exists():
        link.symlink_to(place.resolve())
    dataset = torchaudio.datasets.LJSPEECH(root)
    assert len(dataset)
    for number in range(len(dataset)):
        samples, rate, text, normalised = dataset[number]
        assert text == normalised
        file = dataset._flist[number][0]
        yield file, text, samples.shape[1], rate


def read_by_lhotse(place: Path) -> Iterator[tuple[str, str, int, int]]:
    """Read the names, texts and lengths."""
    found = load("lhotse.recipes").prepare_ljspeech(str(place))
    for supervision in found["supervisions"]:
        recording = found["recordings"][supervision.recording_id]
        yield supervision.id, supervision.text, recording.num_samples, recording.sampling_rate


def read_by_coqui(place: Path, readers: Path) -> Iterator[tuple[str, str, int, int]]:
    """Read the names and texts."""
    pretend_packages(readers, "TTS", "TTS.tts", "TTS.tts.datasets")
    formatters = load("TTS.tts.datasets.formatters")
    for item in formatters.ljspeech(str(place), "metadata.csv"):
        path = Path(item["audio_file"])
        assert path.is_file()
        file = path.relative_to(place / "wavs").with_suffix("").as_posix()
        yield file, item["text"].removesuffix("\n"), 0, 0


def main() -> None:
    """Load one export."""
    form, folder, expected, readers = sys.argv[1:]
    found = Comparison(json.loads(Path(expected).read_bytes()))
    place, wheels = Path(folder), Path(readers)
    loaders: dict[str, Callable[[], None]] = {
        "hf": lambda: see_hf(found, place),
        "parquet": lambda: see_parquet(found, place),
        "webdataset": lambda: see_webdataset(found, place),
        "lhotse": lambda: see_lhotse(found, place),
        "shar": lambda: see_shar(found, place),
        "nemo": lambda: see_nemo(found, place, wheels),
        "ljspeech": lambda: see_ljspeech(found, place, wheels),
    }
    loaders[form]()


if __name__ == "__main__":
    main()
