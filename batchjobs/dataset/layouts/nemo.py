"""A manifest of JSON lines beside the clips, as NeMo reads it."""

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from batchjobs.dataset.layout import ALL_ENDINGS, Entries, Plan, WrittenFile
from batchjobs.dataset.layouts.clip_files import ClipFiles
from batchjobs.dataset.layouts.written import write_lines

_RESERVED: Final = frozenset(
    """
    audio_filepath audio_filename audio_file video_filepath video_filename video_file duration offset
    lang sampling_rate sample_rate orig_sample_rate shard_id speaker task token_labels _skipme
    text_filepath normalized_text rttm_filepath rttm_filename rttm_file feature_filepath
    feature_filename feature_file
    """.split()
)
"""What NeMo looks for: it opens files by some, and believes a duration if there is a rate."""
_RESERVED_BEGINNINGS: Final = ("context", "answer", "question")
_SAID_OTHERWISE: Final = frozenset({"text", "language", "seconds", "sample_rate"})


class NeMo:
    """``train.json`` beside ``audio/000000.wav``; paths in it are from where it stands."""

    endings = ALL_ENDINGS
    is_uniform = False
    has_clip_files = True
    is_table = False

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        return name in _RESERVED or name.startswith(_RESERVED_BEGINNINGS)

    def check_extra(self) -> None:
        """Need nothing."""

    def begin(self, plan: Plan, split: str, number: int) -> ClipFiles:
        """Begin some clips, of whichever split: they stand together."""
        del split, number
        return ClipFiles(plan, "audio")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Write the manifest."""

        def lines() -> Iterator[bytes]:
            for sample, clip, path in entries():
                row: dict[str, object] = {
                    "audio_filepath": path,
                    "duration": clip.seconds,
                    "text": sample.text,
                    "lang": sample.language,
                }
                row |= {
                    name: value
                    for name, value in plan.schema.record(sample, clip).items()
                    if name not in _SAID_OTHERWISE and value is not None
                }
                yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

        return [write_lines(plan.folder, f"{split}.json", lines())]

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        split = next(iter(plan.pieces))
        return f"""In a configuration: `manifest_filepath: {plan.name}/{split}.json`. Or by hand:

```python
from lhotse import CutSet
from nemo.collections.common.data.lhotse.nemo_adapters import LazyNeMoIterator

cuts = CutSet(LazyNeMoIterator({f"{plan.name}/{split}.json"!r}))
next(iter(cuts)).custom["id"]
```"""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Leave it to the readers of this form: the Hub has none."""
        del plan
        return {}
