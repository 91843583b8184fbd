"""Lhotse's shards: cuts as JSON lines beside a tar of their clips, to be read one after the other."""

import gzip
import io
from collections.abc import Iterable, Mapping

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.layout import ALL_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts.lhotse import cut_of, encode, recording_of
from batchjobs.dataset.layouts.tar import TarWriter
from batchjobs.dataset.layouts.written import write_lines
from batchjobs.dataset.samples import Sample


class Shar:
    """``cuts.000000.jsonl.gz`` and ``recording.000000.tar``; with shares in a folder a split.

    Members are named by their cut's id, which is the row's number: ids have dots and slashes.
    """

    endings = ALL_ENDINGS
    is_uniform = False
    has_clip_files = False
    is_table = False

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        del name
        return False

    def check_extra(self) -> None:
        """Need nothing."""

    def begin(self, plan: Plan, split: str, number: int) -> "_Shard":
        """Begin a shard."""
        root = f"{split}/" if plan.has_splits else ""
        return _Shard(plan, root, f"{number:06}")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Leave it at the shards."""
        del plan, split, entries
        return []

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        return f"""```python
from lhotse import CutSet

cuts = CutSet.from_shar(in_dir={plan.first_place!r})
cut = next(iter(cuts))
cut.supervisions[0].id, cut.supervisions[0].text, cut.load_audio()
```

Lhotse imports urllib3 and does not name it among what it needs."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Leave it to the readers of this form: the Hub has none."""
        del plan
        return {}


class _Shard:
    changed_texts = 0

    def __init__(self, plan: Plan, root: str, number: str) -> None:
        self._plan = plan
        self._tar_path = f"{root}recording.{number}.tar"
        self._cuts_path = f"{root}cuts.{number}.jsonl.gz"
        self._tar = TarWriter(plan.folder / self._tar_path)
        self._buffer = io.BytesIO()
        self._cuts = gzip.GzipFile("", "wb", fileobj=self._buffer, mtime=0)

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a row: the run's own bytes, and what they are."""
        recording = recording_of(self._plan, sample, clip, source="", kind="shar")
        key = self._plan.stem_of(sample.number)
        self._tar.add(f"{key}.{clip.ending}", clip.read())
        self._tar.add(f"{key}.json", encode(recording))
        self._cuts.write(encode(cut_of(self._plan, sample, clip, recording)))
        return ""

    def close(self) -> Iterable[WrittenFile]:
        """Sync the shard, and write its cuts."""
        self._cuts.close()
        cuts = write_lines(self._plan.folder, self._cuts_path, [self._buffer.getvalue()])
        return [WrittenFile(self._tar_path, *self._tar.close()), cuts]
