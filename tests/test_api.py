"""The library offers what the command line does: plan, run, look, verify, within trio too."""

import dataclasses
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

import batchjobs
from batchjobs.api import execute
from batchjobs.audio.decoding import encode
from batchjobs.checkpoint import AttemptStart, Checkpoint
from batchjobs.planning import Action
from batchjobs.progress import Event, JobFinished, RunFinished, RunStarted
from batchjobs.runner import RunEnd, Runner
from batchjobs.server.child import local_server

MANIFEST = (
    "id,text\na,السلام عليكم ورحمة الله\nb,Hello to everybody here\nc,One more text to speak\n"
)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of three rows, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "three.csv"
    path.write_text(MANIFEST, encoding="utf-8")
    return path


def test_a_run_gives_a_report_and_results(manifest: Path) -> None:
    """Plan, run, read the results, look and verify, all from Python."""
    options = batchjobs.Options(engine="tone")
    assert batchjobs.plan(manifest, options).to_buy.rows == 3
    report = batchjobs.run(str(manifest), options)
    assert (report.exit_code, report.error, report.signal_number) == (0, None, 0)
    assert report.folder == Path("outputs/three")
    assert [line["id"] for line in batchjobs.read_results(report.folder)] == ["a", "b", "c"]
    assert batchjobs.status(report.folder)["done"] == 3
    assert batchjobs.verify(report.folder) == (3, [])


def test_a_run_folder_may_be_named_by_text(manifest: Path) -> None:
    """As a manifest may: whoever runs "three.csv" looks at "outputs/three"."""
    batchjobs.run("three.csv", batchjobs.Options(engine="tone", output="spoken"))
    assert len(list(batchjobs.read_results("spoken"))) == 3
    assert batchjobs.status("spoken")["done"] == 3
    assert batchjobs.verify("spoken") == (3, [])


def test_a_run_tells_an_observer_of_every_job(manifest: Path) -> None:
    """The observer is told of each job once it is on the disk."""
    told: list[Event] = []
    batchjobs.run(manifest, batchjobs.Options(engine="tone"), observe=told.append)
    finished = [event.record.id for event in told if isinstance(event, JobFinished)]
    assert sorted(finished) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", [RunStarted, RunFinished])
def test_an_observer_that_fails_takes_no_report_away(manifest: Path, kind: type[Event]) -> None:
    """Neither at the beginning, where nothing would run, nor at the end; it is told no more then."""
    told: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        if isinstance(event, kind):
            raise BrokenPipeError("stdout is gone")

    report = batchjobs.run(manifest, batchjobs.Options(engine="tone"), observe=broken)
    assert (report.exit_code, report.summary["done"]) == (0, 3)
    assert isinstance(told[-1], kind)


def test_a_run_that_leaves_rows_out_is_no_success(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever mistake of ours it was: exit 0 means that every row has its answer."""

    async def forgets(_: Runner) -> RunEnd:
        return RunEnd()

    options = batchjobs.Options(engine="tone", limit=2)
    assert batchjobs.run(manifest, options).exit_code == 0
    monkeypatch.setattr(Runner, "run", forgets)
    report = batchjobs.run(manifest, batchjobs.Options(engine="tone"))
    assert report.exit_code == 70
    assert isinstance(report.error, batchjobs.errors.InternalError)
    assert report.error.message.endswith(": 1")


def test_progress_is_told_of_rows_checked_and_jobs_verified(manifest: Path) -> None:
    """Long checks can be watched."""
    checked: list[int] = []
    options = batchjobs.Options(engine="tone")
    report = batchjobs.run(manifest, options, progress=checked.append)
    assert checked == [3]
    batchjobs.verify(report.folder, progress=checked.append)
    assert checked == [3, 1, 2, 3]


def test_a_manifest_can_be_an_open_stream(tmp_path: Path) -> None:
    """A stream is as good as a file, given a run folder."""
    stream = io.BytesIO(MANIFEST.encode())
    with pytest.raises(batchjobs.errors.UsageError):
        batchjobs.plan(stream)
    plan = batchjobs.plan(stream, batchjobs.Options(output=tmp_path / "streamed"))
    assert plan.rows == 3


def test_a_run_in_a_thread_leaves_signals_to_the_program(manifest: Path) -> None:
    """Only the main thread can listen for signals: a run in another one goes without."""
    reports: list[batchjobs.RunReport] = []
    options = batchjobs.Options(engine="tone")
    thread = threading.Thread(target=lambda: reports.append(batchjobs.run(manifest, options)))
    thread.start()
    thread.join()
    assert [report.exit_code for report in reports] == [0]


async def test_a_run_within_trio_can_be_cancelled_and_continued(manifest: Path) -> None:
    """Cancelling run_async leaves a run that the next call continues, buying nothing twice."""
    seen: list[str] = []

    def stop_after_one(event: Event) -> None:
        if isinstance(event, JobFinished):
            seen.append(event.record.id)
            scope.cancel()

    slow = batchjobs.Options(engine="tone", faults=("slow:2",), concurrency=1)
    with trio.CancelScope() as scope:
        await batchjobs.run_async(manifest, slow, observe=stop_after_one)
    assert scope.cancelled_caught
    report = await batchjobs.run_async(manifest, batchjobs.Options(engine="tone"))
    assert report.exit_code == 0
    assert report.summary["done"] == 3
    again = [line["id"] for line in batchjobs.read_results(report.folder)]
    assert again == ["a", "b", "c"]
    assert batchjobs.status(report.folder)["done"] == 3
    assert int(str(report.summary["attempts"])) <= 3 + 1


@pytest.mark.parametrize(
    "options", [{"encoding": "padded"}, {"compress": True}, {"preopen": True}], ids=str
)
def test_the_line_s_options_change_no_transcript(
    options: dict[str, object], manifest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through the local server, what was spoken is heard again however it travels."""
    spoken = batchjobs.run(manifest, batchjobs.Options(engine="tone"))
    recordings = [f"{name},{spoken.folder}/audio/{name}.wav\n" for name in "abc"]
    heard = manifest.with_name("heard.csv")
    heard.write_text("id,audio\n" + "".join(recordings), encoding="utf-8")
    report = batchjobs.run(heard, batchjobs.Options(engine="tone", **options))
    assert report.exit_code == 0
    texts = [line["transcript"] for line in batchjobs.read_results(report.folder)]
    assert "compress" not in caplog.text  # nobody declined
    assert texts == [line.split(",")[1] for line in MANIFEST.splitlines()[1:]]


def test_an_encoding_that_there_is_not_is_told(manifest: Path) -> None:
    """A mistaken name is told before anything begins."""
    with pytest.raises(batchjobs.errors.UsageError, match="no encoding 'wide'") as caught:
        batchjobs.run(manifest, batchjobs.Options(engine="tone", encoding="wide"))
    assert "compact, padded" in caught.value.hint


def test_errors_have_a_message_a_hint_and_an_exit_code(manifest: Path) -> None:
    """What keeps a run from starting is raised as one of our errors."""
    options = batchjobs.Options(provider="munsit", speech=batchjobs.Defaults(voice_id="v"))
    with pytest.raises(batchjobs.errors.ConfigurationError) as caught:
        batchjobs.run(manifest, options)
    assert caught.value.exit_code == 78
    assert "MUNSIT_API_KEY" in caught.value.hint
    assert not Path("outputs/three").exists()


def _priced(folder: Path, *tables: tuple[str, str]) -> batchjobs.Options:
    """Set up hosted providers with these settings each, a key, and a budget; the first does rows."""
    config = folder / "prices.toml"
    config.write_text(
        "".join(
            f'[providers.{name}]\nbase_url = "ws://127.0.0.1:9/api/v1"\nvoice = "v"\n'
            f'key_variable = "BATCHJOBS_LOCAL_KEY"\n{settings}\n'
            for name, settings in tables
        )
    )
    key = folder / "key"
    key.write_text("k" * 20)
    key.chmod(0o600)
    return batchjobs.Options(
        provider=tables[0][0], engine="tone", config=config, budget=1.0, key_file=key
    )


_EUROS = 'tts_price_per_million_characters = 5.0\ncurrency = "EUR"'
_DOLLARS = "tts_price_per_million_characters = 5.0"


@pytest.mark.parametrize(
    ("dear", "why"), [("", "no price is set"), (_EUROS, "add up EUR and USD")], ids=["none", "two"]
)
def test_a_budget_that_would_not_hold_is_refused(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, dear: str, why: str
) -> None:
    """Where a price is unknown, or in two currencies, money bounds nothing: nor would a plan do."""
    monkeypatch.setenv("BATCHJOBS_LOCAL_KEY", "k" * 20)
    options = _priced(manifest.parent, ("dear", dear), ("other", _DOLLARS))
    manifest.write_text("id,text,provider\na,Hello to you,dear\nb,One more,other\n")
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.ConfigurationError, match=why):
            attempt(manifest, options)
    assert not Path("outputs/three").exists()


def test_a_budget_does_not_add_up_what_was_spent_in_another_currency(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is over all runs in a folder, whichever provider they used."""
    monkeypatch.setenv("BATCHJOBS_LOCAL_KEY", "k" * 20)
    options = _priced(manifest.parent, ("dear", _EUROS), ("other", _DOLLARS))
    manifest.write_text("id,text,provider\na,Hello to you,other\n")
    assert set(batchjobs.plan(manifest, options).cost_by_currency) == {"USD"}
    start = AttemptStart(key="k", job="a", provider="dear", started_at=1.0, characters=1_000)
    with Checkpoint.open(Path("outputs/three")) as checkpoint:
        checkpoint.commit(starts=[start])
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.ConfigurationError, match="add up EUR and USD"):
            attempt(manifest, options)


def test_a_budget_in_one_currency_holds_beside_what_is_free(manifest: Path) -> None:
    """The local server has a currency too, but nothing to count in it."""
    options = _priced(manifest.parent, ("dear", _EUROS))
    manifest.write_text("id,text,provider\na,Hello to you,dear\nb,One more,local\n")
    assert set(batchjobs.plan(manifest, options).cost_by_currency) == {"EUR"}
    options = replace(options, budget=0.0)
    report = batchjobs.run(manifest, options)
    assert isinstance(report.error, batchjobs.errors.BudgetReachedError)
    assert (report.summary["done"], report.summary["not_run"]) == (1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"limit": -1},
        {"concurrency": -5},
        {"concurrency": 10_001},
        {"starts_per_second": -1.0},
        {"budget": float("nan")},
        {"max_characters": -1},
        {"grace_seconds": -1.0},
        {"paragraph_pause_seconds": -0.1},
        {"audio_format": "aac"},
    ],
    ids=str,
)
def test_options_out_of_their_range_are_refused(manifest: Path, wrong: dict[str, Any]) -> None:
    """As on the command line, and before anything is bought."""
    with pytest.raises(batchjobs.errors.UsageError, match=next(iter(wrong)).removeprefix("audio_")):
        batchjobs.run(manifest, batchjobs.Options(engine="tone", **wrong))
    assert not Path("outputs").exists()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The package offers what it lists, and no more."""
    with pytest.raises(AttributeError):
        _ = batchjobs.nothing_like_it
    assert set(batchjobs.__all__) <= set(dir(batchjobs))


# -- what must not be lost by mistake ----------------------------------------------------------


def _configure_paid(folder: Path, server: str) -> None:
    """Configure a provider that is no local one, and costs."""
    (folder / "batchjobs.toml").write_text(
        f'[providers.paid]\nlike = "local"\nengine = ""\nbase_url = "{server}"\n'
        'key_variable = "PAID_KEY"\ntts_price_per_million_characters = 10.0\n',
        encoding="utf-8",
    )


def test_what_was_paid_for_is_not_replaced_by_forgetting_the_provider(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default provider takes no other's place, unless a row names it or the file is gone."""
    audio = tmp_path / "outputs" / "three" / "audio"

    async def bought() -> int:
        async with local_server(engine="tone") as server:
            _configure_paid(tmp_path, server.base_url)
            monkeypatch.setenv("PAID_KEY", server.token)
            options = batchjobs.Options(provider="paid")
            return (await batchjobs.run_async(manifest, options)).exit_code

    assert trio.run(bought) == 0
    before = {path.name: path.read_bytes() for path in audio.iterdir()}
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.UsageError, match="3 finished results") as caught:
            attempt(manifest, batchjobs.Options(engine="tone"))
        assert "--provider paid" in caught.value.hint
    assert {path.name: path.read_bytes() for path in audio.iterdir()} == before
    rows = MANIFEST.replace("\n", ",local\n").replace("text,local", "text,provider")
    manifest.write_text(rows, encoding="utf-8")
    named = batchjobs.plan(manifest, batchjobs.Options(engine="tone"))
    assert named.to_buy.rows == 3
    manifest.write_text(MANIFEST, encoding="utf-8")
    for path in audio.iterdir():
        path.unlink()
    assert batchjobs.run(manifest, batchjobs.Options(engine="tone")).exit_code == 0


def test_two_manifests_of_one_name_do_not_share_a_folder_by_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second would overwrite the first's files; asked for, or equal, it may go on."""
    monkeypatch.chdir(tmp_path)
    first, second = (tmp_path / name / "talks.csv" for name in "AB")
    for path, text in ((first, "واحد واثنان وثلاثة"), (second, "three and two and one")):
        path.parent.mkdir()
        path.write_text(f"id,text\n1,{text}\n", encoding="utf-8")
    options = batchjobs.Options(engine="tone")
    folder = batchjobs.run(first, options).folder
    before = (folder / "audio" / "1.wav").read_bytes()
    with pytest.raises(batchjobs.errors.UsageError, match="another manifest") as caught:
        batchjobs.run(second, options)
    assert "--output" in caught.value.hint
    assert (folder / "audio" / "1.wav").read_bytes() == before
    other = tmp_path / "C" / "talks.csv"
    other.parent.mkdir()
    other.write_bytes(first.read_bytes())
    assert batchjobs.plan(other, options).to_do == 0
    meant = batchjobs.Options(engine="tone", replace=True)
    assert batchjobs.plan(second, meant).to_do == 1


def test_a_run_that_cannot_begin_leaves_the_last_one_as_it_was(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan is adopted once everything it needs is there."""
    batchjobs.run(manifest, batchjobs.Options(engine="tone"))

    @asynccontextmanager
    async def missing(**_: object) -> AsyncIterator[None]:
        raise batchjobs.errors.ConfigurationError("its extra is not installed", hint="install it")
        yield

    monkeypatch.setattr(execute, "local_server", missing)
    with pytest.raises(batchjobs.errors.ConfigurationError):
        batchjobs.run(manifest, batchjobs.Options(engine="espeak"))
    found = batchjobs.status(Path("outputs/three"))
    assert (found["done"], found["not_run"]) == (3, 0)


def test_what_verify_finds_changed_is_made_again(manifest: Path) -> None:
    """A file of the right size with another content, until it is mended or made anew."""
    options = batchjobs.Options(engine="tone")
    folder = batchjobs.run(manifest, options).folder
    path = folder / "audio" / "b.wav"
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + b"Z" + whole[501:])
    assert batchjobs.plan(manifest, options).to_do == 0
    checked, found = batchjobs.verify(folder)
    assert (checked, len(found)) == (3, 1)
    assert batchjobs.plan(manifest, options).by_action[Action.REMAKE].rows == 1
    path.write_bytes(whole)  # from a backup
    assert batchjobs.verify(folder) == (3, [])
    assert batchjobs.plan(manifest, options).to_do == 0
    path.write_bytes(whole[:500] + b"Z" + whole[501:])
    batchjobs.verify(folder)
    assert batchjobs.run(manifest, options).exit_code == 0
    assert path.read_bytes() == whole
    assert batchjobs.verify(folder) == (3, [])


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
    _, found = batchjobs.verify(tmp_path / "run")
    assert len(found) == 1
    assert "أول.wav" in found[0]
    assert batchjobs.plan(manifest, options).to_do == 0
    assert batchjobs.verify(tmp_path / "run")[1] == []


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
