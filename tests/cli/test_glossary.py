"""`run --glossary` and the command `glossary`: listed after a run, again at any time, and never bought for."""

import json
from pathlib import Path

import pytest

from tests.commands import Command
from tests.tapes import write_side, write_tape_manifest

RUN = ("run", "talks.csv", "--engine", "tone")
OUTPUTS = Path("outputs/talks")


@pytest.fixture
def talks(folder: Path) -> Path:
    """Three recordings in which a service hears terms otherwise, and their glossary."""
    texts = ("سهم رامكو اليوم.", "We run cuber netties in رامكو.", "Kubernetes وأرامكو")
    for number, text in enumerate(texts, 1):
        write_side(folder / f"{number}.wav", text)
    rows = [{"id": f"t{number}", "audio": f"{number}.wav"} for number in (1, 2, 3)]
    write_tape_manifest(folder / "talks.csv", rows)
    path = folder / "my terms.txt"
    path.write_text("# شركات\nأرامكو\nKubernetes = k8s\nMunsit\n", encoding="utf-8")
    return path


def test_terms_that_were_heard_otherwise_are_listed(command: Command, talks: Path) -> None:
    """After the run, in a file of its folder, and by the command, without a session more."""
    ended = command(*RUN, "--glossary", talks)
    assert ended.code == 0, ended.err
    told = [
        f"glossary: 2 of 3 terms heard otherwise than in {talks}",
        "  أرامكو: heard as 'رامكو' 2 times, in t1, t2",
        "  Kubernetes: heard as 'cuber netties' once, in t2",
    ]
    lines = ended.out.splitlines()
    begin = lines.index(told[0])
    assert lines[begin : begin + 3] == told
    assert f"--hotwords-file '{talks}'" in lines[begin + 3]
    kept = [json.loads(line) for line in (OUTPUTS / "glossary.jsonl").read_bytes().splitlines()]
    assert [(each["term"], each["heard_right"], len(each["otherwise"])) for each in kept] == [
        ("أرامكو", 1, 1),
        ("Kubernetes", 1, 1),
        ("Munsit", 0, 0),
    ]
    again = command("glossary", OUTPUTS, talks)
    assert (again.code, again.out.splitlines()) == (0, lines[begin : begin + 4])
    assert json.loads(command("glossary", OUTPUTS, talks, "--json").out) == kept
    talks.write_text("k8s\n")
    assert "0 of 1 term heard otherwise" in command("glossary", OUTPUTS, talks).out
    assert json.loads((OUTPUTS / "summary.json").read_bytes())["attempts"] == 3


def test_the_same_file_is_one_of_hot_words(command: Command, talks: Path) -> None:
    """Comments and other spellings are left out of what the service is told."""
    ended = command(*RUN, "--hotwords-file", talks)
    assert ended.code == 0, ended.err


def test_a_glossary_that_is_none_ends_a_run_before_anything_is_bought(
    command: Command, talks: Path
) -> None:
    """No folder is left, and what is wrong is named."""
    talks.write_text("# nothing\n")
    ended = command(*RUN, "--glossary", talks)
    assert ended.code == 2
    assert "holds no term" in ended.err
    assert not OUTPUTS.exists()
    assert command(*RUN, "--glossary", "gone.txt").code == 2
    assert command("glossary", "gone", talks).code == 2
