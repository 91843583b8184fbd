"""What the tests of this folder have prepared for them."""

from pathlib import Path

import pytest

from tests.api.manifests import MANIFEST


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of three rows, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "three.csv"
    path.write_text(MANIFEST, encoding="utf-8")
    return path
