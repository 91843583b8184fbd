"""JSON in a page: what it says comes back to the letter, and nothing of it is markup."""

import json

import pytest

from batchjobs.report.embedding import embed, embed_each
from tests.builders import ARABIC
from tests.report.listened import HOSTILE


@pytest.mark.parametrize("text", [*HOSTILE, ARABIC, "\0\x1f\x7f\x85", "\U0001f3a7"])
def test_a_text_comes_back_and_ends_no_element(text: str) -> None:
    """Whatever it is, there is no sign in it that a parser of markup would stop at."""
    shown = embed({text: [text]})
    assert json.loads(shown) == {text: [text]}
    assert not set(shown) & {"<", ">", "&", "\u2028", "\u2029", "\r", "\n"}


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1_000])
def test_a_list_comes_back_whole_whatever_its_length(count: int) -> None:
    """Its pieces join up at every seam."""
    values = [[number, f"</script>{number}"] for number in range(count)]
    pieces = list(embed_each(values))
    assert json.loads("".join(pieces)) == values
    assert "<" not in "".join(pieces)
