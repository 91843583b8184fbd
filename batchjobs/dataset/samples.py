"""The rows of a dataset as they are listed before the first clip is written."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from batchjobs.jobs import Kind


class Sample(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One row of a dataset: all that is known before its clip is looked at.

    Attributes:
        number: Its place in the dataset, from 0: what its files are called.
        id: The row's id, as the manifest has it.
        run: The name of the run that it is from.
        kind: Whether the text was spoken, or the recording heard.
        text: What was spoken, or heard.
        voice: Who spoke; empty if that is not known.
        language: As a code.
        provider: The service.
        model: Its model.
        path: The clip's, absolute.
        bytes: Its size; 0 if it is not known.
        sha256: As the run knows it; empty if it does not.
        head_bytes: How many first bytes go into that hash last.
        frames: How many there are; 0 if only the file knows.
        sample_rate: In hertz; 0 likewise.
        seconds: Its length, as the run knows it.
        verdict: What a check found; empty if there was none.
        cer: Its character error rate.
        columns: The manifest's own, by the names that they have in the dataset.
    """

    number: int
    id: str
    run: str
    kind: Kind
    text: str
    voice: str
    language: str
    provider: str
    model: str
    path: str
    bytes: int
    sha256: str
    head_bytes: int
    frames: int
    sample_rate: int
    seconds: float
    verdict: str
    cer: float | None
    columns: Mapping[str, object]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sample)


def write_line(sample: Sample) -> bytes:
    """Write a sample as a line."""
    return _encoder.encode(sample) + b"\n"


def read_lines(path: Path, *, offset: int = 0) -> Iterator[tuple[bytes, Sample]]:
    """Read a list of samples, from a place in it, each with the line that it was read from."""
    with path.open("rb", buffering=1 << 20) as lines:
        lines.seek(offset)
        for line in lines:
            yield line, _decoder.decode(line)
