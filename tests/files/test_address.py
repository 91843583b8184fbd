"""Places in buckets: read, and kept below their root."""

import re

import pytest

from batchjobs.errors import UsageError
from batchjobs.files.address import (
    Address,
    address_inside,
    find_mistake,
    is_address,
    refuse_mistake,
)
from batchjobs.files.paths import PathEscapeError

ROOT = Address("talks", "2026/الأرشيف")
ODD_NAMES = (
    "السَّلامُ عَلَيْكُمـ ١٢.wav",
    "می\u200cخواهم لا\u200dإله \u200f(mixed نص).wav",
    "a+b %2e%2e %2F.wav",
    "#1?x=1&y.wav",
    "back\\slash.wav",
    "..hidden.wav",
    "a..b/c.wav",
)


def test_an_address_is_read_and_written_alike() -> None:
    """An address comes back as it was typed, without a slash at its end."""
    for text in ("s3://talks", "s3://talks/m.csv", "s3://talks/عام ٢٠٢٦/#1+%20.csv"):
        assert str(Address.parse(text)) == text
    assert Address.parse("s3://talks/a/b/") == Address("talks", "a/b")
    assert Address.parse("s3://talks/a/b.csv").parent == Address("talks", "a")
    assert Address.parse("s3://talks/b.csv").parent == Address("talks")
    assert Address.parse("s3://talks/a/b.csv").name == "b.csv"


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///a", "s3://b/a//b", "s3://b/../a", "talks/a", "gs://b/a"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing is guessed of what is no place in a bucket."""
    with pytest.raises(UsageError, match="is no place in a bucket"):
        Address.parse(text)


@pytest.mark.parametrize("root", [ROOT, Address("talks")])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_taken_letter_by_letter(root: Address, name: str) -> None:
    """Nothing in a name is decoded, normalised or cut off, given below the root or in full."""
    found = address_inside(root, name)
    assert str(found) == f"{root}/{name}"
    assert address_inside(root, f"{root}/{name}") == found


@pytest.mark.parametrize(
    "given",
    [
        "../secret.wav",
        "a/../../secret.wav",
        "a/..",
        "/secret.wav",
        "s3://talks/secret.wav",
        "s3://talks/2026/الأرشيف2/secret.wav",
        "s3://talks/2026/الأرشيف/../secret.wav",
        "s3://other/2026/الأرشيف/a.wav",
        "s3://talks/2026/الأرشيف",
    ],
)
def test_what_leads_out_is_refused(given: str) -> None:
    """Neither steps upwards nor another bucket, nor a neighbour of the root's name, are inside."""
    with pytest.raises(PathEscapeError, match="leaves s3://talks"):
        address_inside(ROOT, given)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a//b.wav",
        "./a.wav",
        "a/./b.wav",
        "folder/",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "\ud800",
        "ا" * 600,
    ],
)
def test_what_is_no_name_is_refused(given: str) -> None:
    """What a store would take for another name, or not at all, never gets there."""
    with pytest.raises(PathEscapeError, match="is no name of an object"):
        address_inside(ROOT, given)


def test_only_the_scheme_makes_an_address() -> None:
    """A path of the disk is none."""
    assert is_address("s3://a/b")
    assert not is_address("/s3://a/b")
    assert not is_address("recordings/s3.wav")


@pytest.mark.parametrize("scheme", ["S3://", "s3://"])
def test_schemes_have_no_case(scheme: str) -> None:
    """However it is typed, the same place is meant, and kept under one name."""
    assert is_address(f"{scheme}talks/a")
    assert str(Address.parse(f"{scheme}talks/{ODD_NAMES[0]}")) == f"s3://talks/{ODD_NAMES[0]}"
    inside = address_inside(ROOT, f"{scheme}talks/2026/الأرشيف/{ODD_NAMES[0]}")
    assert str(inside) == f"{ROOT}/{ODD_NAMES[0]}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("s3:/talks/عام", "'s3://talks/عام'"),
        ("S3:talks", "'s3://talks'"),
        ("s3a://talks/x", "'s3://talks/x'"),
        ("s3:///talks/x", ""),  # an address, and a wrong one
        ("gs://talks/x", "speaks S3"),
        ("GS:/talks/x", "speaks S3"),
        ("az://talks/x", "speaks S3"),
        ("https://example.com/x.csv", "speaks S3"),
        ("file:///tmp/x.csv", "path alone: /tmp/x.csv"),
        ("magnet+x://talks", "speaks S3"),
    ],
)
def test_what_was_meant_as_an_address_is_no_path(text: str, hint: str) -> None:
    """It would make a folder that is called as a scheme is, here where nobody looks for it."""
    assert hint in find_mistake(text)
    assert bool(find_mistake(text)) == bool(hint)
    if hint:
        with pytest.raises(UsageError, match=re.escape(f"'{text}' is no place")):
            refuse_mistake(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://talks/x",
        "talks",
        "./s3:x",
        "/srv/gs://x",
        "s3/x",
        "C:/talks",
        "ليلة: ١/x",
        "a b://x",
        "",
    ],
)
def test_a_path_like_any_other_is_one(text: str) -> None:
    """Colons stand in names."""
    refuse_mistake(text)
