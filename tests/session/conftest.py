"""What the tests of this folder have prepared for them."""

import functools

import pytest

from batchjobs.session import Endpoint
from tests import builders


@pytest.fixture(params=[True, False], ids=["hooks", "no hooks"])
def library_hooks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let every session go both ways: with our parts in the library, and without."""
    made = functools.partial(Endpoint, library_hooks=request.param)
    for module in (builders, request.module):
        if hasattr(module, "Endpoint"):
            monkeypatch.setattr(module, "Endpoint", made)
    return bool(request.param)
