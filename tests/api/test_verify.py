"""What was found damaged is made again, and failures run as a manifest of their own."""

import dataclasses
from pathlib import Path

import pytest

import batchjobs
from batchjobs.audio.encoding import encode
from batchjobs.planning.plan import Action


def test_what_verify_finds_changed_is_made_again(manifest: Path) -> None:
    """A file of the right size with another content, until it is mended or made anew."""
    options = batchjobs.Options(engine="tone")
    folder = batchjobs.run(manifest, options).folder
    path = folder / "audio" / "b.wav"
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + b"Z" + whole[501:])
    assert batchjobs.plan(manifest, options).to_do == 0
    found = batchjobs.verify(folder)
    assert (found.checked, len(found.wrong)) == (3, 1)
    assert batchjobs.plan(manifest, options).by_action[Action.REMAKE].rows == 1
    path.write_bytes(whole)  # from a backup
    assert batchjobs.verify(folder) == batchjobs.VerifyReport(checked=3)
    assert batchjobs.plan(manifest, options).to_do == 0
    path.write_bytes(whole[:500] + b"Z" + whole[501:])
    batchjobs.verify(folder)
    assert batchjobs.run(manifest, options).exit_code == 0
    assert path.read_bytes() == whole
    assert batchjobs.verify(folder) == batchjobs.VerifyReport(checked=3)


def test_damage_to_a_result_that_is_set_apart_is_told_once_and_costs_nothing(
    tmp_path: Path,
) -> None:
    """An earlier result of a row, kept in case the edit is undone: the one that stands is whole."""
    manifest = tmp_path / "m.csv"
    options = batchjobs.Options(engine="tone", output=tmp_path / "run", attempts=1)
    refused = dataclasses.replace(options, faults=("error:40001",))
    for text, place, how in (
        ("صباح الخير", "أول", options),
        ("مساء الخير", "أول", refused),
        ("ليلة سعيدة", "ثان", options),
    ):
        manifest.write_text(f"id,text,output\nأ,{text},{place}.wav\n", encoding="utf-8")
        batchjobs.run(manifest, how)
    (earlier,) = (tmp_path / "run").rglob("أول.wav")
    earlier.write_bytes(b"")
    (wrong,) = batchjobs.verify(tmp_path / "run").wrong
    assert "أول.wav" in wrong
    assert batchjobs.plan(manifest, options).to_do == 0
    assert not batchjobs.verify(tmp_path / "run").wrong


def test_failures_are_run_again_as_a_manifest_of_their_own(tmp_path: Path) -> None:
    """Elsewhere they find their recordings, and their results hold no trace of the old failure."""
    (tmp_path / "in" / "recordings").mkdir(parents=True)
    wav = encode(b"\x00\x20" * 16_000, sample_rate=16_000, format="wav")
    (tmp_path / "in" / "recordings" / "ا.wav").write_bytes(wav)
    manifest = tmp_path / "in" / "m.jsonl"
    manifest.write_text(
        '{"id": "a", "audio": "recordings/ا.wav", "note": "ملاحظة"}\n', encoding="utf-8"
    )
    first = batchjobs.Options(engine="tone", output=tmp_path / "run", attempts=1, faults=("drop",))
    assert batchjobs.run(manifest, first).exit_code == 1
    failed = tmp_path / "run" / "failed.jsonl"
    with pytest.raises(batchjobs.errors.UsageError, match="written anew"):
        batchjobs.run(failed, batchjobs.Options(engine="tone", output=tmp_path / "run"))
    second = batchjobs.Options(engine="tone", output=tmp_path / "again")
    assert batchjobs.run(failed, second).exit_code == 0
    (result,) = batchjobs.read_results(tmp_path / "again")
    assert (result["id"], result["note"]) == ("a", "ملاحظة")
    assert "error" not in result
    assert result["attempts"] == 1
