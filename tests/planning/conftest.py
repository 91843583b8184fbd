"""What the tests of this folder have prepared for them."""

from pathlib import Path

import pytest

from batchjobs.providers import BUILT_IN
from tests.planning.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a desk with nothing on it."""
    return Desk(home=tmp_path, providers=BUILT_IN)
