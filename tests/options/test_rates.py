"""What people write for a rate is read as they mean it."""

import pytest

from batchjobs.errors import ConfigurationError
from batchjobs.options.table import parse_rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/s", 5.0),
        ("0.5/s", 0.5),
        ("300/min", 5.0),
        ("7200/h", 2.0),
        (" 10 / s ", 10.0),
        ("١٠/s", 10.0),
    ],
)
def test_rates_as_people_write_them(text: str, expected: float) -> None:
    """N/s, N/min and N/h are sessions a second, Arabic digits included."""
    assert parse_rate(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "5", "/s", "5/", "5/day", "0/s", "-1/s", "nan/s", "inf/s", "1e9/s", "x/s", "5/s/s"]
)
def test_what_is_no_rate_is_told_with_an_example(text: str) -> None:
    """Anything else is refused, with what to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        parse_rate(text)
    assert f"'{text}'" in caught.value.message
    assert "5/s" in caught.value.hint
