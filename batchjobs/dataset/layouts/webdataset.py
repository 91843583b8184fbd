"""Tar shards whose samples are read one after the other, as WebDataset does."""

from collections.abc import Iterable, Mapping

import orjson

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.columns import as_text
from batchjobs.dataset.layout import TORCHCODEC_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts.tar import TarWriter
from batchjobs.dataset.samples import Sample


class WebDataset:
    """``train-000000.tar`` with ``000000.wav``, ``000000.json`` and ``000000.txt`` side by side.

    One ending for all clips: a reader that infers the columns from the first samples gives nothing
    for the others. The same keys in every sample, one type a key and nothing missing: it casts what
    comes later to the types of the first.
    """

    endings = TORCHCODEC_ENDINGS
    is_uniform = True
    has_clip_files = False
    is_table = False

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        return name.startswith("__")

    def check_extra(self) -> None:
        """Need nothing."""

    def begin(self, plan: Plan, split: str, number: int) -> "_Shard":
        """Begin a shard."""
        return _Shard(plan, f"{split}-{number:06}.tar")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Leave it at the shards."""
        del plan, split, entries
        return []

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        split, count = next(iter(plan.pieces.items()))
        shards = "000000" if count == 1 else f"{{000000..{count - 1:06}}}"
        return f"""```python
import webdataset as wds

shards = {f"{plan.name}/{split}-{shards}.tar"!r}  # braces; an asterisk is not expanded
for sample in wds.WebDataset(shards, shardshuffle=False).decode():
    sample["json"]["id"], sample["txt"], sample["{plan.ending}"]
```

Or `datasets.load_dataset("webdataset", data_files={{"{split}": "{plan.name}/{split}-*.tar"}})`,
streaming too. All columns are in the `.json`, the manifest's own as text; the key of a sample is its
row's number."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Say by split where its data is."""
        return {split: f"{split}-*.tar" for split in plan.pieces}


class _Shard:
    changed_texts = 0

    def __init__(self, plan: Plan, path: str) -> None:
        self._plan = plan
        self._path = path
        self._tar = TarWriter(plan.folder / path)
        self._columns = [(name, name not in _NUMBERS) for name, _ in plan.schema.columns]

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a row."""
        key = self._plan.stem_of(sample.number)
        values = self._plan.schema.values(sample, clip)
        row = {
            name: as_text(value) if is_text else value
            for (name, is_text), value in zip(self._columns, values, strict=True)
        }
        self._tar.add(f"{key}.{clip.ending}", clip.read())
        self._tar.add(f"{key}.json", orjson.dumps(row))
        self._tar.add(f"{key}.txt", sample.text.encode())
        return ""

    def close(self) -> Iterable[WrittenFile]:
        """Sync the shard."""
        return [WrittenFile(self._path, *self._tar.close())]


_NUMBERS = frozenset({"seconds", "sample_rate"})
"""What every sample has; a column that may be missing is text, and then empty."""
