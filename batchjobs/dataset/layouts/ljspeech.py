"""The form of the LJ Speech corpus: WAV files and a table without header, quotes or escapes."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.layout import Entries, Plan, WrittenFile
from batchjobs.dataset.layouts.clip_files import ClipFiles
from batchjobs.dataset.layouts.written import write_lines
from batchjobs.dataset.samples import Sample

_BREAKS: Final = re.compile(r"\s*[|\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]\s*")
"""What would end a field or a line: readers split at any of the characters that end lines."""
_QUOTES: Final = "\"'"


class LJSpeech:
    """``metadata.csv`` beside ``wavs/000000.wav``, ``rows.jsonl`` with all that has no place there."""

    endings = frozenset({"wav"})
    is_uniform = True
    has_clip_files = True
    is_table = False

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""
        return name == "file"

    def check_extra(self) -> None:
        """Need nothing."""

    def begin(self, plan: Plan, split: str, number: int) -> "_Clips":
        """Begin some clips."""
        del number
        return _Clips(plan, f"{split}/wavs" if plan.has_splits else "wavs")

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Write the table, and what it has no place for."""
        root = f"{split}/" if plan.has_splits else ""
        voices: set[str] = set()

        def table() -> Iterator[bytes]:
            for sample, _, path in entries():
                voices.add(sample.voice)
                text = clean_text(sample.text)
                yield f"{_stem_of(path, root)}|{text}|{text}\n".encode()

        def rows() -> Iterator[bytes]:
            for sample, clip, path in entries():
                row = {"file": _stem_of(path, root)} | plan.schema.record(sample, clip)
                yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

        def speakers() -> Iterator[bytes]:
            for sample, _, path in entries():
                voice = clean_text(sample.voice)
                yield f"{_stem_of(path, root)}|{voice}|{clean_text(sample.text)}\n".encode()

        files = [
            write_lines(plan.folder, f"{root}metadata.csv", table()),
            write_lines(plan.folder, f"{root}rows.jsonl", rows()),
        ]
        if len(voices) > 1:
            files.append(write_lines(plan.folder, f"{root}speakers.csv", speakers()))
        return files

    def describe_loading(self, plan: Plan) -> str:
        """Say how it is loaded."""
        return f"""`metadata.csv` has the fields `name|text|text` as LJ Speech 1.1 has them: no header, no
quotes, no escapes. `rows.jsonl` has all that it has no place for: ids, the texts as they were,
voices. With several voices there is `speakers.csv` too, `name|voice|text`, as Piper takes them.

```python
# coqui-tts: BaseDatasetConfig(formatter="ljspeech", meta_file_train="metadata.csv", path=...)
from lhotse.recipes import prepare_ljspeech

manifests = prepare_ljspeech({plan.first_place!r})
```

torchaudio's `LJSPEECH(ROOT)` looks for a folder `ROOT/LJSpeech-1.1`: call this one so, or link to
it."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Leave it to the readers of this form: the Hub has none."""
        del plan
        return {}


class _Clips(ClipFiles):
    """Clips whose texts may have to be changed."""

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a clip."""
        self.changed_texts += clean_text(sample.text) != sample.text
        return super().add(sample, clip)


def clean_text(text: str) -> str:
    """Take out of a text what would end a field or a line, or begin a quoted field."""
    joined = _BREAKS.sub(" ", text)
    return (text if joined == text else joined.strip()).lstrip(_QUOTES)


def _stem_of(path: str, root: str) -> str:
    return path.removeprefix(f"{root}wavs/").removesuffix(".wav")
