"""Reading a manifest from a text: its rows, its one job, its one bad row."""

import io
from pathlib import Path
from typing import Any

import pytest

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN, Provider

PROVIDERS = {
    **BUILT_IN,
    "mute": Provider(name="mute", base_url="", key_variable="K", tts_path=""),
    "short": Provider(
        name="short", base_url="", key_variable="K", voice="v", text_limit_characters=5
    ),
}

SENTENCE = "مَرْحَبًا بِكُمْ، عندي ٣ كتب و laptop جديـــد\u200f."


def read_manifest(
    folder: Path,
    content: bytes | str,
    *,
    ending: str = "",
    defaults: Defaults | None = None,
    input_root: Path | None = None,
) -> list[Job | BadRow]:
    """Read all rows of a manifest."""
    data = content.encode() if isinstance(content, str) else content
    source: Path | io.BytesIO = io.BytesIO(data)
    if ending:
        source = folder / f"talks{ending}"
        source.write_bytes(data)
    return list(
        read_rows(
            source,
            name="talks",
            folder=folder,
            providers=PROVIDERS,
            defaults=defaults or Defaults(),
            input_root=input_root,
        )
    )


def read_job(folder: Path, content: bytes | str, **options: Any) -> Job:
    """Read a manifest of one row, which is a job."""
    (job,) = read_manifest(folder, content, **options)
    assert isinstance(job, Job), job
    return job


def read_bad_row(folder: Path, content: bytes | str, **options: Any) -> BadRow:
    """Read a manifest of one row, which cannot be run."""
    (row,) = read_manifest(folder, content, **options)
    assert isinstance(row, BadRow), row
    return row


def read_error(folder: Path, content: bytes | str, **options: Any) -> str:
    """Read a manifest that is refused; gives what is said of it."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder, content, **options)
    assert caught.value.hint
    return str(caught.value)
