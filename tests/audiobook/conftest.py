"""What the tests of this folder have prepared for them."""

import json
from pathlib import Path

import pytest

import batchjobs
from tests.audiobook.recordings import CHAPTERS
from tests.books import picture


@pytest.fixture(scope="module")
def spoken_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three chapters; gives its folder."""
    home = tmp_path_factory.mktemp("book")
    rows = [
        {
            "id": f"{n}",
            "text": f"نصّ الفصل رقم {n} " * 4,
            "title": title,
            "book": "كتاب: جيّد",
            "author": "فلان",
            "cover": "cover.png",
        }
        for n, title in enumerate(CHAPTERS, 1)
    ]
    (home / "cover.png").write_bytes(picture())
    manifest = home / "book.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    report = batchjobs.run(manifest, batchjobs.Options(output=home / "run", engine="tone"))
    assert report.exit_code == 0
    return home / "run"
