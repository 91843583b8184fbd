"""What is left out is counted by cause and kind, and listed beside the manifest."""

import json
import os
from pathlib import Path

from batchjobs.manifest.left_out import (
    Cause,
    LeftOut,
    kind_of,
    list_beside,
    show_path,
    sum_up,
    write_list,
)


def _item(path: str, cause: Cause = Cause.NO_RECORDING, reason: str = "") -> LeftOut:
    return LeftOut(path=path, kind=kind_of(Path(path)), cause=cause, reason=reason)


def test_counts_say_what_and_why() -> None:
    """The causes that one can do something about come first, the most frequent kinds before others."""
    items = [
        _item("a.txt"),
        *(_item(f"{n}.JPG") for n in range(1_200)),
        *(_item(f"{n}.3gp", Cause.EXTRA) for n in range(12)),
        _item("Makefile"),
        _item("قرص.wav", Cause.UNREADABLE),
    ]
    assert sum_up(items) == (
        "1 .wav: cannot be transcribed; 12 .3gp: the extra 'book' reads them; "
        "1,200 .jpg, 1 .txt, 1 without ending: no recordings"
    )
    assert sum_up([]) == ""


def test_many_kinds_are_summed() -> None:
    """A disk full of everything still makes a line."""
    line = sum_up([_item(f"x.{n}") for n in range(100)])
    assert line.count(",") == 8
    assert line.endswith(", 92 others: no recordings")


def test_paths_are_written_for_a_line() -> None:
    """Whatever bytes a name has: text stays as it is, with its joiners."""
    assert show_path(os.fsdecode(b"caf\xe9.wav")) == "caf\\xe9.wav"
    assert show_path("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert show_path("مَرْحَبًا ـــ ١٢٣.wav") == "مَرْحَبًا ـــ ١٢٣.wav"
    assert kind_of(Path("a.tar.Ending-that-is-none")) == "without ending"


def test_the_list_has_all_of_it_and_goes_with_it(tmp_path: Path) -> None:
    """A line of JSON each; written only where it changes."""
    manifest = tmp_path / "أرشيف.jsonl"
    path = list_beside(manifest)
    write_list(manifest, [])
    assert not path.exists()
    write_list(manifest, [_item("a.txt"), _item("b.wav", Cause.ARRIVING, "why")])
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[1] == {"path": "b.wav", "kind": ".wav", "cause": "still arriving", "reason": "why"}
    before = path.stat().st_ino
    write_list(manifest, [_item("a.txt"), _item("b.wav", Cause.ARRIVING, "why")])
    assert path.stat().st_ino == before
    write_list(manifest, [])
    assert not path.exists()
