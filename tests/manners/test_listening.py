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
    folder: Path,
    manner: Manner,
    *,
    attempts: int = 3,
    recordings: int = 1,
    rows: str = "",
    settings: str = "",
    speech: batchjobs.Defaults | None = None,
) -> Iterator[tuple[batchjobs.RunReport, ListenService]]:
    """Run recordings against a service."""
    for number in range(recordings):
        pcm = make_tone(SECONDS + number, 16_000)
        write_recording(folder / f"r{number}.wav", pcm, 16_000)
    usual = [f"r{number},r{number}.wav" for number in range(recordings)]
    (folder / "rows.csv").write_text(rows or "\n".join(["id,audio", *usual]) + "\n", "utf-8")
    key_file = folder / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    service = ListenService(manner, FINALS, KEY)
    with run_listen_service(service) as base_url:
        config = folder / "batchjobs.toml"
        config.write_text(
            f'[providers.newer]\nlike = "munsit"\nbase_url = "{base_url}"\n'
            f"outage_limit_seconds = 1.0\n{settings}"
        )
        options = batchjobs.Options(
            provider="newer",
            config=config,
            key_file=key_file,
            output=folder / "out",
            attempts=attempts,
            concurrency=2,
            speech=speech or batchjobs.Defaults(),
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


def test_times_that_count_from_each_turn_are_not_believed(tmp_path: Path) -> None:
    """They go back: then the words are laid out by the sound, and none stands before another."""
    with _run(tmp_path, Manner(counts_from_turn=True)) as (report, _):
        assert report.exit_code == 0
    transcript = json.loads((tmp_path / "out" / "transcripts" / "r0.json").read_text("utf-8"))
    starts = [word["start"] for word in transcript["words"]]
    assert len(starts) == 5
    assert starts == sorted(starts)


@pytest.mark.parametrize("way", ["header", "bearer", "query"])
def test_the_key_goes_the_way_it_is_told(tmp_path: Path, way: str) -> None:
    """Each of those that the vendor's clients have."""
    with _run(tmp_path, Manner(key_way=way), settings=f'stt_auth = ["{way}"]\n') as (report, _):
        assert report.exit_code == 0


def test_hot_words_reach_the_service_and_dropped_ones_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A row's own before the option's; each recording is asked with its own; the rest is free."""
    words = "السَّلامُ,عليكـم,می\u200cخواهم,١٢٣"
    rows = f'id,audio,hotwords\nr0,r0.wav,"{words}"\nr1,r1.wav,\nr2,r0.wav,"١٢٣,{words}"\n'
    manner = Manner(drops="ليكـ")
    speech = batchjobs.Defaults(hotwords="one,two")
    with _run(tmp_path, manner, recordings=2, rows=rows, speech=speech) as (report, service):
        assert report.exit_code == 0
    assert sorted(each["hotwords"] for each in service.asked) == sorted([words, "one,two"])
    assert {key for each in service.asked for key in each if key.startswith("hot")} == {"hotwords"}
    found = {each["id"]: each for each in batchjobs.read_results(tmp_path / "out")}
    dropped = {}
    for name, each in found.items():
        evidence = each["evidence"]
        assert isinstance(evidence, dict)
        dropped[name] = evidence["dropped_hotwords"]
    assert dropped == {"r0": ["عليكـم"], "r1": [], "r2": ["عليكـم"]}
    assert (
        found["r2"]["copied_from"] == "r0"
    )  # the same words in another order are not bought again
    transcript = json.loads((tmp_path / "out" / "transcripts" / "r0.json").read_text("utf-8"))
    assert transcript["evidence"]["dropped_hotwords"] == ["عليكـم"]
    assert [line for line in caplog.messages if "hot words" in line] == [
        "newer: does not take these hot words: عليكـم"
    ]


def test_what_is_noticed_of_speakers_is_in_the_transcript(tmp_path: Path) -> None:
    """With the time of the turn."""
    with _run(tmp_path, Manner()) as (report, _):
        assert report.exit_code == 0
    transcript = json.loads((tmp_path / "out" / "transcripts" / "r0.json").read_text("utf-8"))
    assert transcript["traits"] == [
        {"kind": "gender", "label": "female", "score": 0.9, "start": 0.5, "end": 3.9},
        {"kind": "sentiment", "label": "محايد", "score": 0.5, "start": 0.5, "end": 3.9},
    ]


def test_parts_of_a_long_recording_keep_their_times(tmp_path: Path) -> None:
    """Words and traits of each part are where it begins; the receipts add up."""
    silence = bytes(2 * 16_000 * 2)
    sound = [make_tone(seconds, 16_000) + silence for seconds in range(18, 24)]  # no two alike
    write_recording(tmp_path / "long.wav", b"".join(sound), 16_000)
    rows = "id,audio\nlong,long.wav\n"
    with _run(tmp_path, Manner(), rows=rows, settings="audio_target_seconds = 40.0\n") as (
        report,
        service,
    ):
        assert report.exit_code == 0
    parts = len(service.asked)
    assert parts > 2
    transcript = json.loads((tmp_path / "out" / "transcripts" / "long.json").read_text("utf-8"))
    starts = [each["start"] for each in transcript["segments"]]
    words = [(each["text"], each["start"]) for each in transcript["words"]]
    assert words == [
        (word, round(start + at, 3))
        for at in starts
        for final in FINALS
        for word, start, _ in final
    ]
    genders = [each for each in transcript["traits"] if each["kind"] == "gender"]
    assert [each["start"] for each in genders] == [round(at + 0.5, 3) for at in starts]
    assert [each["end"] for each in genders] == [round(at + 3.9, 3) for at in starts]
    billed = sum(service.heard_seconds)
    assert transcript["evidence"]["billed_audio_seconds"] == pytest.approx(billed, abs=0.01)
    assert report.summary.audio_seconds_billed == pytest.approx(billed, abs=0.01)
    found = _result(tmp_path)
    assert found["evidence"]["ending"] == "receipt"


def test_what_was_heard_on_one_socket_is_not_bought_on_the_other(tmp_path: Path) -> None:
    """The key is the same, also of folders from before there were two, and of hot words that are none."""
    with _run(tmp_path, Manner()) as (report, _):
        assert report.exit_code == 0
    config = tmp_path / "batchjobs.toml"
    config.write_text(config.read_text() + 'stt_protocol = "transcription"\n')
    (tmp_path / "rows.csv").write_text("id,audio,hotwords\nr0,r0.wav,\n")
    options = batchjobs.Options(provider="newer", config=config, output=tmp_path / "out")
    assert not batchjobs.plan(tmp_path / "rows.csv", options).to_do
