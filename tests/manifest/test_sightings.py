"""Which files are looked into, by what was seen of them and when."""

from batchjobs.manifest.sightings import Sightings

A, B = (10, 1_000), (20, 2_000)


def make() -> Sightings:
    """Sightings that let files settle for two seconds, and wait ten minutes for the rest of one."""
    return Sightings(settle_seconds=2, patience_seconds=600)


def test_a_file_is_looked_into_once_it_has_stood_still() -> None:
    """Seen twice the same, long enough apart: then once, and not again until it changes."""
    seen = make()
    assert seen.see("/d", {"a": A}, 0) == []
    assert seen.see("/d", {"a": A}, 1) == []
    assert seen.see("/d", {"a": A}, 2) == ["/d/a"]
    seen.keep("/d/a", A)
    assert seen.see("/d", {"a": A}, 9) == []
    assert seen.waiting == []
    assert seen.see("/d", {"a": B}, 10) == []
    assert seen.see("/d", {"a": B}, 12) == ["/d/a"]


def test_a_file_that_grows_waits_from_its_last_change() -> None:
    """Size and time both count; a copy may have its whole size from the start."""
    seen = make()
    seen.see("/d", {"a": A}, 0)
    seen.see("/d", {"a": (10, 1_001)}, 1.9)
    assert seen.see("/d", {"a": (10, 1_001)}, 2.5) == []
    assert seen.see("/d", {"a": (10, 1_001)}, 3.9) == ["/d/a"]


def test_those_that_wait_can_be_looked_at_alone() -> None:
    """Between two looks through all, one that is gone is forgotten, and one that stands still named."""
    seen = make()
    seen.see("/d", {"a": A, "b": A}, 0)
    assert seen.glance({"/d/a": A, "/d/b": None}, 2) == ["/d/a"]
    assert seen.waiting == ["/d/a"]


def test_what_is_gone_is_forgotten_and_new_when_it_comes_back() -> None:
    """Files and folders; but a folder that cannot be read is not gone."""
    seen = make()
    seen.keep("/d/a", A)
    seen.keep("/d/sub/b", A)
    seen.end_look({"/d": None, "/d/sub": None}, is_whole=True)
    seen.end_look({"/d": None}, is_whole=False)
    assert seen.see("/d/sub", {"b": A}, 0) == []
    assert seen.waiting == []
    seen.end_look({"/d": None}, is_whole=True)
    seen.see("/d", {}, 1)
    seen.see("/d", {"a": A}, 2)
    seen.see("/d/sub", {"b": A}, 2)
    assert seen.waiting == ["/d/a", "/d/sub/b"]
    seen.end_look({"/d": None}, is_whole=True)
    assert seen.waiting == ["/d/a"]


def test_a_file_that_stays_unreadable_is_told_once() -> None:
    """It may be half of one: it is looked at again when it changes, and given up after so long."""
    seen = make()
    seen.keep_odd("/d/a", A, "it is cut off", 0)
    assert seen.see("/d", {"a": A}, 300) == []
    assert seen.pop_overdue(599) == {}
    seen.see("/d", {"a": B}, 599)
    assert seen.see("/d", {"a": B}, 601) == ["/d/a"]
    seen.keep_odd("/d/a", B, "it is cut off", 601)
    assert seen.pop_overdue(1_200) == {}
    assert seen.odd == {"/d/a": "it is cut off"}
    assert seen.pop_overdue(1_201) == {"/d/a": "it is cut off"}
    assert seen.pop_overdue(9_999) == {}
    assert seen.see("/d", {"a": B}, 9_999) == []
