"""Reading a manifest from a text: its rows, its one job, its one bad row."""

import io
from pathlib import Path

import pytest

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN, Provider

_PROVIDERS = {
    **BUILT_IN,
    "mute": Provider(name="mute", base_url="", key_variable="K", tts_path=""),
    "short": Provider(
        name="short", base_url="", key_variable="K", voice="v", text_limit_characters=5
    ),
}

_SENTENCE = "مَرْحَبًا بِكُمْ، عندي ٣ كتب و laptop جديـــد\u200f."


def _rows(
    folder: Path,
    content: bytes | str,
    *,
    ending: str = "",
    defaults: Defaults | None = None,
    input_root: Path | None = None,
) -> list[Job | BadRow]:
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
            providers=_PROVIDERS,
            defaults=defaults or Defaults(),
            input_root=input_root,
        )
    )


def _job(folder: Path, content: bytes | str, **options: object) -> Job:
    (job,) = _rows(folder, content, **options)  # type: ignore[arg-type]
    assert isinstance(job, Job), job
    return job


def _bad(folder: Path, content: bytes | str, **options: object) -> BadRow:
    (row,) = _rows(folder, content, **options)  # type: ignore[arg-type]
    assert isinstance(row, BadRow), row
    return row


def _error(folder: Path, content: bytes | str, **options: object) -> str:
    with pytest.raises(ManifestError) as caught:
        _rows(folder, content, **options)  # type: ignore[arg-type]
    assert caught.value.hint
    return str(caught.value)
