"""Lhotse's manifests beside the clips, and what its records are made of."""

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.layout import ALL_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts.clip_files import ClipFiles
from batchjobs.dataset.layouts.written import compress_lines, write_lines
from batchjobs.dataset.samples import Sample

_SAID_OTHERWISE: Final = frozenset({"text", "language", "voice", "seconds", "sample_rate"})


class Lhotse:
    """``cuts.jsonl.gz``, ``recordings`` and ``supervisions``; with shares ``cuts_train.jsonl.gz``.

    The paths of clips in them are absolute: a relative one would be from wherever one works.
    """

    endings = ALL_ENDINGS
    is_uniform = False
    has_clip_files = True
    is_table = False

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        del name
        return False

    def check_extra(self) -> None:
        """Need nothing: JSON lines are what Lhotse writes itself."""

    def begin(self, plan: Plan, split: str, number: int) -> ClipFiles:
        """Begin some clips, of whichever split: they stand together."""
        del split, number
        return ClipFiles(plan, "audio")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Write the three manifests."""
        ending = f"_{split}.jsonl.gz" if plan.has_splits else ".jsonl.gz"

        def recordings() -> Iterator[bytes]:
            for sample, clip, path in entries():
                yield encode(recording_of(plan, sample, clip, source=f"{plan.home}/{path}"))

        def supervisions() -> Iterator[bytes]:
            for sample, clip, _ in entries():
                yield encode(supervision_of(plan, sample, clip))

        def cuts() -> Iterator[bytes]:
            for sample, clip, path in entries():
                recording = recording_of(plan, sample, clip, source=f"{plan.home}/{path}")
                yield encode(cut_of(plan, sample, clip, recording))

        manifests = {"recordings": recordings, "supervisions": supervisions, "cuts": cuts}
        return [
            write_lines(plan.folder, f"{name}{ending}", compress_lines(lines()))
            for name, lines in manifests.items()
        ]

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        ending = f"_{next(iter(plan.pieces))}" if plan.has_splits else ""
        return f"""```python
from lhotse import CutSet

cuts = CutSet.from_file({f"{plan.name}/cuts{ending}.jsonl.gz"!r})
cut = next(iter(cuts))
cut.supervisions[0].id, cut.supervisions[0].text, cut.load_audio()
```

Lhotse imports urllib3 and does not name it among what it needs. Durations are frames by rate,
unrounded: it cuts or pads by them. Paths are absolute; where the folder was moved, put its new place
into the manifests, or export with `--shar`, whose shards hold the sound."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Leave it to the readers of this form: the Hub has none."""
        del plan
        return {}


def encode(record: dict[str, object]) -> bytes:
    """Write a record as a line."""
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def recording_of(
    plan: Plan, sample: Sample, clip: Clip, *, source: str, kind: str = "file"
) -> dict[str, object]:
    """Make a recording; an unknown key in it would be an error.

    Args:
        plan: The dataset's.
        sample: The row.
        clip: Its clip.
        source: Where the clip is.
        kind: What `source` is.
    """
    return {
        "id": plan.stem_of(sample.number),
        "sources": [{"type": kind, "channels": [0], "source": source}],
        "sampling_rate": clip.sample_rate,
        "num_samples": clip.frames,
        "duration": clip.seconds,
        "channel_ids": [0],
    }


def supervision_of(plan: Plan, sample: Sample, clip: Clip) -> dict[str, object]:
    """Make a supervision; its id is the row's, with the run's name where several may have it."""
    record = plan.schema.record(sample, clip)
    custom = {name: value for name, value in record.items() if name not in _SAID_OTHERWISE}
    return {
        "id": f"{sample.run}/{sample.id}" if plan.schema.has_runs else sample.id,
        "recording_id": plan.stem_of(sample.number),
        "start": 0.0,
        "duration": clip.seconds,
        "channel": 0,
        "text": sample.text,
        "language": sample.language,
        "speaker": sample.voice or None,
        "custom": custom,
    }


def cut_of(
    plan: Plan, sample: Sample, clip: Clip, recording: dict[str, object]
) -> dict[str, object]:
    """Make a cut of all of a recording."""
    return {
        "id": plan.stem_of(sample.number),
        "start": 0.0,
        "duration": clip.seconds,
        "channel": 0,
        "supervisions": [supervision_of(plan, sample, clip)],
        "recording": recording,
        "custom": {"id": sample.id},
        "type": "MonoCut",
    }
