"""Parquet shards with the sound inside, as `datasets` loads and streams them."""

import os
from collections.abc import Iterable, Mapping

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.layout import TORCHCODEC_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts import arrow
from batchjobs.dataset.layouts.written import describe_file
from batchjobs.dataset.samples import Sample


class Parquet:
    """``data/train-00000-of-00007.parquet``."""

    endings = TORCHCODEC_ENDINGS
    is_uniform = False
    has_clip_files = False
    is_table = True

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        return name == "audio"

    def check_extra(self) -> None:
        """See that pyarrow is there."""
        arrow.check_extra()

    def begin(self, plan: Plan, split: str, number: int) -> "_Shard":
        """Begin a shard."""
        path = f"data/{split}-{number:05}-of-{plan.pieces[split]:05}.parquet"
        return _Shard(plan, path)

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Leave it at the shards."""
        del plan, split, entries
        return []

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        return f"""```python
from datasets import load_dataset

dataset = load_dataset({plan.name!r})  # streaming=True reads it row by row
row = dataset["{next(iter(plan.pieces))}"][0]
row["id"], row["text"], row["audio"].get_all_samples()  # needs torch and torchcodec
```

Without these: `dataset.cast_column("audio", datasets.Audio(decode=False))` gives each clip's file
as bytes; so does `pyarrow.parquet.read_table`, and DuckDB's `read_parquet`."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Say by split where its data is."""
        return {split: f"data/{split}-*.parquet" for split in plan.pieces}


class _Shard:
    changed_texts = 0

    def __init__(self, plan: Plan, path: str) -> None:
        self._plan = plan
        self._path = path
        self._target = plan.folder / path
        self._target.unlink(missing_ok=True)
        self._table = arrow.TableWriter(self._target, plan.schema.columns, audio=True)

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a row."""
        name = f"{self._plan.stem_of(sample.number)}.{clip.ending}"
        self._table.add(self._plan.schema.values(sample, clip), clip.read(), name)
        return ""

    def close(self) -> Iterable[WrittenFile]:
        """Sync the shard."""
        self._table.close()
        with self._target.open("rb") as file:
            os.fsync(file.fileno())
        return [describe_file(self._plan.folder, self._path)]
