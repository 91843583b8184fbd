"""What the tests of this folder have prepared for them."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a run folder that is not there yet."""
    return tmp_path / "outputs" / "تجربة #1?%20"
