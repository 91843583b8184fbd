"""Fields of unpromised types, read as far as they make sense."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.protocol import fields


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"a": "x"}, "x"),
        ({"a": ""}, ""),
        ({"a": None, "b": "y"}, "y"),
        ({"a": 40101}, "40101"),
        ({"a": 40101.0}, "40101"),
        ({"a": 0.5}, "0.5"),
        ({"a": {"text": "t"}}, "t"),
        ({"a": {"message": "m", "x": 1}}, "m"),
        ({"a": {"data": {"text": "two levels down"}}, "b": "y"}, "y"),
        ({"a": [], "b": {}}, None),
        ({}, None),
    ],
)
def test_the_first_field_that_says_something(
    values: dict[object, object], expected: str | None
) -> None:
    """Text and numbers count, one level down too; nothing is None, not empty text."""
    assert fields.find_text(values, "a", "b") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (24_000, 24_000),
        (24_000.0, 24_000),
        ("24000", 24_000),
        ("٢٤٠٠٠", 0),
        ("9" * 5_000, 0),
        ("", 0),
        (None, 0),
        ([], 0),
        ({}, 0),
    ],
)
def test_sample_rates(value: object, expected: int) -> None:
    """A rate is a number, or one written as text; all else says nothing."""
    assert fields.to_sample_rate(value) == expected


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("0", True),
        ("40101", True),
        ("040", False),
        ("-1", False),
        ("\u0661", False),
        ("1\n", False),
        ("", False),
    ],
)
def test_plain_numbers(text: str, plain: bool) -> None:
    """Only what reads the same after having been a number is one."""
    assert fields.is_plain_number(text) is plain


def test_nulls_are_left_out() -> None:
    """Null fields vanish on both levels; everything else stays."""
    given_ = {"a": None, "b": {"c": None, "d": 0}, "e": [None], "f": ""}
    assert fields.without_nulls(given_) == {"b": {"d": 0}, "e": [None], "f": ""}
    assert fields.without_nulls([None]) == [None]


@given(st.one_of(st.text(max_size=500), st.binary(max_size=500)))
@settings(max_examples=100, deadline=None)
def test_what_is_shown_is_short_and_clean(payload: str | bytes) -> None:
    """The beginning of any payload fits on a line of any UTF-8 log."""
    shown = fields.excerpt(payload)
    assert len(shown) <= 201
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode()


def test_short_text_is_shown_as_it_is() -> None:
    """Arabic with its marks and joiners is not mangled, a lone surrogate is replaced."""
    assert fields.excerpt("مَرْحَبًا \u200d٣ abc") == "مَرْحَبًا \u200d٣ abc"
    assert fields.excerpt("a\ud800") == "a?"
    assert fields.excerpt(b"\xff\x1b[2J") == "\ufffd [2J"
    assert fields.excerpt("x" * 300) == "x" * 200 + "…"
