"""A folder of clips with metadata, as the `audiofolder` of `datasets` loads it."""

import os
from collections.abc import Mapping
from typing import Final

from batchjobs.dataset.layout import TORCHCODEC_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts import arrow
from batchjobs.dataset.layouts.clip_files import ClipFiles
from batchjobs.dataset.layouts.written import describe_file

_USUAL_SPLITS: Final = {"train", "validation", "test"}


class HuggingFace:
    """``train/metadata.parquet`` beside ``train/audio/000000.wav``; without shares, without ``train``.

    The metadata is inside each split's folder: above them, its texts are lost without an error. It
    is Parquet because as CSV or JSON Lines ids become numbers, and dates something else.
    """

    endings = TORCHCODEC_ENDINGS
    is_uniform = False
    has_clip_files = True
    is_table = True

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself: what is called so becomes sound."""
        return name in {"audio", "file_name"} or name.endswith("_file_name")

    def check_extra(self) -> None:
        """See that pyarrow is there."""
        arrow.check_extra()

    def begin(self, plan: Plan, split: str, number: int) -> ClipFiles:
        """Begin some clips."""
        del number
        return ClipFiles(plan, f"{split}/audio" if plan.has_splits else "audio")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Write the metadata."""
        root = f"{split}/" if plan.has_splits else ""
        path = f"{root}metadata.parquet"
        target = plan.folder / path
        target.unlink(missing_ok=True)
        table = arrow.TableWriter(target, plan.schema.columns, first="file_name")
        for sample, clip, place in entries():
            table.add([place.removeprefix(root), *plan.schema.values(sample, clip)])
        table.close()
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return [describe_file(plan.folder, path)]

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        # What other splits are called, only the head of the card tells.
        named = f'"audiofolder", data_dir={plan.name!r}'
        call = named if plan.pieces.keys() <= _USUAL_SPLITS else repr(plan.name)
        return f"""```python
from datasets import load_dataset

dataset = load_dataset({call})
row = dataset["{next(iter(plan.pieces))}"][0]
row["id"], row["text"], row["audio"]["array"], row["audio"]["sampling_rate"]
```

It needs torch and torchcodec, even to load. Clips are named by their row's number: ids are in the
column `id`."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Say by split where its data is."""
        return {split: f"{split}/**" if plan.has_splits else "**" for split in plan.pieces}
