"""The generators of bad input in their short form, and broken readers that they catch."""

import importlib
from pathlib import Path

import pytest

from batchjobs import text
from tests import tally
from tests.faults.generate import KINDS, generate_inputs

SEED = 20251121
ROUNDS = range(100)
"""Of 67 inputs: three seconds of a processor."""


def test_generated_input_crashes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """Thousands of inputs of every kind: each has its verdict, none is changed on the way."""
    counts, refused, wrong = generate_inputs(ROUNDS, SEED, tmp_path)
    tally.count(cases=counts.total(), lost=len(wrong))
    print(f"seed {SEED}: {counts.total()} inputs, {refused.total()} refused")
    assert not wrong, "\n".join(wrong)
    assert {*counts} == {*KINDS}
    assert all(refused[kind] < counts[kind] for kind in KINDS)


def test_a_sender_that_strips_texts_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages without the white space at their ends are not the text."""
    whole = text.split_messages

    def stripped(words: str, *, limit_characters: int = 500) -> list[str]:
        return [piece.strip() for piece in whole(words, limit_characters=limit_characters)]

    monkeypatch.setattr(text, "split_messages", stripped)
    found = generate_inputs(ROUNDS, SEED, tmp_path, most_wrong=1)[2]
    assert any(line.startswith("texts ") for line in found)


def test_a_reader_whose_quotes_swallow_rows_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that a stray quote merged are missed in the count."""
    reader = importlib.import_module("batchjobs.manifest.csv_rows")
    monkeypatch.setattr(reader, "refuse_swallowed_rows", lambda *_: None)
    found = generate_inputs(ROUNDS, SEED, tmp_path, most_wrong=1)[2]
    assert any(line.startswith("CSV with stray quotes") for line in found)
