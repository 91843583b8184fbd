"""What was ordered of a run holds for the next one of the same command, and for no other."""

from dataclasses import replace
from typing import Any

import pytest

from batchjobs.errors import UsageError
from batchjobs.options import Options
from batchjobs.options.standing import (
    Standing,
    change_options,
    changeable,
    describe_changes,
    read_standing,
    show_settings,
)

BASE = Options(concurrency=32, budget=10.0)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"concurrency": "4"}, "concurrency", 4),
        ({"concurrency": "auto"}, "concurrency", 0),
        ({"rate": "2/s"}, "starts_per_second", 2.0),
        ({"rate": "30/min"}, "starts_per_second", 0.5),
        ({"rate": "none"}, "starts_per_second", 0.0),
        ({"budget": "50"}, "budget", 50.0),
        ({"budget": "none"}, "budget", None),
        ({"max-characters": "1000"}, "max_characters", 1000),
        ({"max_characters": "1000"}, "max_characters", 1000),
        ({"max-audio": "12.5"}, "max_audio_seconds", 12.5),
    ],
)
def test_values_are_read_as_the_command_line_reads_them(
    given: dict[str, str], name: str, value: Any
) -> None:
    """By the same table, under the same names, with a dash or without."""
    changed = change_options(BASE, given)
    assert changed == replace(BASE, **{name: value})


@pytest.mark.parametrize(
    "given",
    [
        {"concurrency": "0"},
        {"concurrency": "none"},
        {"concurrency": ""},
        {"concurrency": "4.5"},
        {"concurrency": "20000"},
        {"rate": "fast"},
        {"rate": "0/s"},
        {"budget": "-1"},
        {"budget": "nan"},
        {"budget": "inf"},
        {"budget": ""},
        {"max-characters": "1.5"},
        {"max-characters": "عشرة"},
        {"output": "elsewhere"},
        {"retry-failed": "yes"},
        {"": "4"},
    ],
)
def test_what_is_no_value_or_no_such_setting_is_refused(given: dict[str, str]) -> None:
    """With a sentence that names the setting."""
    with pytest.raises(UsageError) as caught:
        change_options(BASE, given)
    assert next(iter(given)) in caught.value.message


def test_changes_hold_for_the_same_command_only() -> None:
    """What the command now says otherwise than it said then goes first, for that setting alone."""
    changed = change_options(BASE, {"concurrency": "4", "budget": "50"})
    standing = Standing().change(BASE, changed)
    assert read_standing(standing.encode()) == standing
    assert standing.keep_for(BASE).apply(BASE) == changed
    other = replace(BASE, budget=20.0)
    kept = standing.keep_for(other)
    assert kept.apply(other) == replace(other, concurrency=4)
    assert kept.keep_for(BASE).apply(BASE) == replace(BASE, concurrency=4)


def test_a_second_change_keeps_what_the_command_said_first() -> None:
    """And going back to that leaves nothing changed."""
    first = change_options(BASE, {"concurrency": "4"})
    second = change_options(first, {"concurrency": "9"})
    standing = Standing(paused_since=5.0).change(BASE, first).change(first, second)
    assert standing.keep_for(BASE).apply(BASE).concurrency == 9
    assert standing.change(second, BASE) == Standing(paused_since=5.0)


def test_what_a_later_version_wrote_and_cannot_be_read_is_nothing() -> None:
    """A run that cannot know what was ordered goes by its command."""
    assert read_standing('{"changes": 4}') == Standing()
    assert read_standing("") == Standing()
    later = read_standing(
        '{"paused_since": 3, "mood": "good", "changes": {"mood": {"value": 1, "base": 2}}}'
    )
    assert later.keep_for(BASE) == Standing(paused_since=3.0)


def test_changes_are_put_into_words() -> None:
    """With what it was before, in the command line's units."""
    changed = change_options(BASE, {"concurrency": "auto", "rate": "0.5/s", "budget": "none"})
    said = describe_changes(BASE, changed)
    assert said == "concurrency auto (was 32), rate 0.5/s (was none), budget none (was 10)"
    assert describe_changes(BASE, BASE) == ""
    assert show_settings(Options())["concurrency"] == "the provider's"
    assert show_settings(Options()).keys() == changeable().keys()
