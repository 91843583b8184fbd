"""Whole runs against `/listen` services that were written without our code, with every ending."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from tests.builders import make_tone, write_recording
from tests.canary import KEY
from tests.faults.state_world import hurry_retries
from tests.manners.listening import ListenService, Manner, run_listen_service

FINALS = (
    (("السَّلامُ", 0.5, 0.9), ("عليكـم", 1.0, 1.4), ("١٢٣", 1.5, 1.9)),
    (("ok", 3.0, 3.2), ("می\u200cخواهم.", 3.3, 3.9)),
)
TEXT = "السَّلامُ عليكـم ١٢٣ ok می\u200cخواهم."
SECONDS = 5


@contextmanager
def _run(
    folder: Path, manner: Manner, *, attempts: int = 3, recordings: int = 1
) -> Iterator[tuple[batchjobs.RunReport, ListenService]]:
    """Run recordings against a service."""
    for number in range(recordings):
        pcm = make_tone(SECONDS + number, 16_000)
        write_recording(folder / f"r{number}.wav", pcm, 16_000)
    rows = [f"r{number},r{number}.wav" for number in range(recordings)]
    (folder / "rows.csv").write_text("\n".join(["id,audio", *rows]) + "\n")
    key_file = folder / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    service = ListenService(manner, FINALS, KEY)
    with run_listen_service(service) as base_url:
        config = folder / "batchjobs.toml"
        config.write_text(
            f'[providers.newer]\nlike = "munsit"\nbase_url = "{base_url}"\nstt_protocol = "listen"\n'
            "outage_limit_seconds = 1.0\n"
        )
        options = batchjobs.Options(
            provider="newer",
            config=config,
            key_file=key_file,
            output=folder / "out",
            attempts=attempts,
            concurrency=2,
        )
        with hurry_retries():
            yield batchjobs.run(folder / "rows.csv", options), service
    assert service.complaints == []


def _result(folder: Path) -> dict[str, Any]:
    (found,) = batchjobs.read_results(folder / "out", ["done", "suspect", "failed"])
    return dict(found)


def test_a_transcript_is_done_with_its_receipt(tmp_path: Path) -> None:
    """Finals are appended, words have the service's own times, and the receipt is kept."""
    with _run(tmp_path, Manner()) as (report, service):
        assert report.exit_code == 0
        assert service.sessions == 1
    found = _result(tmp_path)
    evidence = found["evidence"]
    assert (evidence["ending"], evidence["billed_audio_seconds"]) == ("receipt", SECONDS)
    transcript = json.loads((tmp_path / "out" / "transcripts" / "r0.json").read_text("utf-8"))
    assert transcript["text"] == TEXT
    words = [word for part in transcript["segments"] for word in part.get("words", ())]
    words = words or transcript["words"]
    said = [(word["text"], word["start"], word["end"]) for word in words]
    assert said == [word for final in FINALS for word in final]
    assert "00:00:00,500 --> 00:00:03,900" in (
        tmp_path / "out" / "transcripts" / "r0.srt"
    ).read_text("utf-8")


@pytest.mark.parametrize(
    "manner",
    [
        Manner(close_code=1000, times=1),
        Manner(close_code=0, times=1),
        Manner(close_code=1011, close_reason="internal", closes_in_mid_audio=True, times=2),
        Manner(close_code=4008, close_reason="too far ahead", closes_in_mid_audio=True, times=1),
        Manner(close_code=1008, close_reason="concurrent session limit reached", times=2),
        Manner(error={"code": "500", "message": "x", "recoverable": False}, times=1),
        Manner(receipt_early=True, times=1),
    ],
    ids=["no receipt", "reset", "1011 in mid-audio", "4008", "too many", "error", "early receipt"],
)
def test_without_a_receipt_nothing_is_done(tmp_path: Path, manner: Manner) -> None:
    """However a session ends before its receipt, what it said counts for nothing: it is tried again."""
    with _run(tmp_path, manner) as (report, service):
        assert report.exit_code == 0
        assert service.sessions == manner.times + 1
    assert _result(tmp_path)["transcript"] == TEXT


@pytest.mark.parametrize(
    "manner",
    [Manner(close_code=1000), Manner(close_code=1011), Manner(receipt_early=True)],
    ids=["no receipt", "1011", "early receipt"],
)
def test_a_service_that_never_gives_a_receipt_has_nothing_done(
    tmp_path: Path, manner: Manner
) -> None:
    """After all attempts the job has failed; no transcript of it is there."""
    with _run(tmp_path, manner) as (report, service):
        assert report.exit_code == 1
        assert service.sessions == 3
    assert report.summary.failed == 1
    assert not (tmp_path / "out" / "transcripts" / "r0.txt").exists()


@pytest.mark.parametrize(
    ("manner", "sign", "says"),
    [
        (Manner(billed_share=0.5), "unheard", "receipt"),
        (Manner(leaves_interim=True), "unsettled", "never made final"),
    ],
    ids=["half of it", "interim"],
)
def test_a_receipt_of_less_is_doubted(tmp_path: Path, manner: Manner, sign: str, says: str) -> None:
    """What the service did not count, or did not finish, is kept and not called done."""
    with _run(tmp_path, manner, attempts=1) as (report, _):
        assert report.exit_code == 1
    doubt = _result(tmp_path)["kept"]["against"][0]
    assert (doubt["sign"], says in doubt["message"]) == (sign, True)


@pytest.mark.parametrize(
    ("manner", "text"),
    [
        (Manner(is_final_late=True), f"{TEXT} متأخرة"),
        (Manner(error={"code": "w1", "message": "late", "recoverable": True}), TEXT),
        (Manner(billed_share=1.01), TEXT),
    ],
    ids=["final behind the end", "recoverable error", "a little more billed"],
)
def test_what_ends_well_in_another_way_is_done(tmp_path: Path, manner: Manner, text: str) -> None:
    """A final after the end of an utterance counts; an error that the service gets over does not."""
    with _run(tmp_path, manner) as (report, service):
        assert report.exit_code == 0
        assert service.sessions == 1
    assert _result(tmp_path)["transcript"] == text


def test_times_that_count_from_each_turn_are_not_believed(tmp_path: Path) -> None:
    """They go back: then the words are laid out by the sound, and none stands before another."""
    with _run(tmp_path, Manner(counts_from_turn=True)) as (report, _):
        assert report.exit_code == 0
    transcript = json.loads((tmp_path / "out" / "transcripts" / "r0.json").read_text("utf-8"))
    starts = [word["start"] for word in transcript["words"]]
    assert len(starts) == 5
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("reason", "code"), [("insufficient wallet balance", 69), ("invalid api key", 77)]
)
def test_a_policy_violation_is_told_apart_by_its_reason(
    tmp_path: Path, reason: str, code: int
) -> None:
    """An empty wallet and a refused key end the run at once; too many sessions do not."""
    manner = Manner(close_code=1008, close_reason=reason, closes_in_mid_audio=True)
    with _run(tmp_path, manner, recordings=3) as (report, service):
        assert report.exit_code == code
        assert service.sessions <= 2
    assert report.summary.done == 0


def test_a_parameter_that_the_service_does_not_know_ends_the_run(tmp_path: Path) -> None:
    """Every other session would end the same way."""
    manner = Manner(close_code=4002, close_reason="invalid model", closes_in_mid_audio=True)
    with _run(tmp_path, manner, recordings=3) as (report, service):
        assert report.error is not None
        assert "4002" in str(report.error)
        assert service.sessions <= 2
