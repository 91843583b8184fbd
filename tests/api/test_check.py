"""A check names what is bad, buys it again once, keeps the best, and is continued like any run."""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import batchjobs
from batchjobs import Defaults, Options, errors
from batchjobs.api import checking
from batchjobs.api.report import RunReport
from batchjobs.checkpoint import Checkpoint, CheckVerdict, Decision
from batchjobs.files.run_folder import CHECK, CHECKPOINT, REVIEW, TAKES
from batchjobs.outputs.decisions import DecisionLine, write_decisions
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.planted import FAULTS, choose_faults, make_texts, plant, say_with_fault
from tests.recordings import read_pcm
from tests.whole_runs import results, summary

RATE = 16_000
TEXTS = make_texts(20, words=(12, 16))
ROWS = [{"id": f"r{place} سـ", "text": text} for place, text in enumerate(TEXTS)]
PLANTED = dict(choose_faults([row["id"] for row in ROWS], FAULTS))
SPEECH = Defaults(output_format=f"pcm_{RATE}")
PRICED = """
[providers.local]
tts_price_per_million_characters = 1000.0
stt_price_per_hour = 36.0
"""


def _options(folder: Path, **changes: object) -> Options:
    options = Options(output=folder, engine="tone", speech=SPEECH)
    return replace(options, **changes)  # type: ignore[arg-type]


def _run(folder: Path, rows: list[dict[str, str]] = ROWS, **changes: object) -> RunReport:
    return batchjobs.run(rows, _options(folder, **changes))


def _plant(folder: Path, planted: Mapping[str, str] = PLANTED) -> None:
    texts = {row["id"]: row["text"] for row in ROWS}
    speaker = ToneSynthesiser()
    plant(
        folder,
        {
            name: (
                say_with_fault(
                    fault, texts[name], speaker, other=TEXTS[0][::-1], rate=RATE, voice="v"
                ),
                RATE,
            )
            for name, fault in planted.items()
        },
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a finished run, five of whose clips have a fault each, heard once."""
    folder = tmp_path_factory.mktemp("planted") / "run"
    assert _run(folder).exit_code == 0
    _plant(folder)
    report = batchjobs.check(folder)
    assert report.exit_code == 1
    return folder


@pytest.fixture
def folder(planted: Path, tmp_path: Path) -> Path:
    """Give a copy of that run."""
    return shutil.copytree(planted, tmp_path / "run")


def _attempts(folder: Path) -> int:
    with Checkpoint.read(folder) as checkpoint:
        return checkpoint.totals.count_rows().attempts


def test_every_planted_fault_is_named_and_no_good_clip_is(folder: Path) -> None:
    """With the words that are missing and where; it stands in the results, the summary, the status."""
    heard = _attempts(folder / CHECK)
    report = batchjobs.check(folder)
    assert _attempts(folder / CHECK) == heard  # nothing is heard twice
    assert {each.id for each in report.bad} == set(PLANTED)
    assert report.verdicts == {CheckVerdict.GOOD: 15, CheckVerdict.BAD: 5}
    by_fault = {PLANTED[each.id]: each for each in report.bad}
    assert "no sound" in by_fault["silent"].reasons[0]
    cut = by_fault["cut"]
    assert cut.missing is not None
    text = next(row["text"] for row in ROWS if row["id"] == cut.id)
    assert text.endswith(cut.missing.words)
    assert by_fault["repeated"].foreign is not None
    lines = {line["id"]: line for line in results(folder)}
    assert lines[cut.id]["check"]["verdict"] == "bad"
    assert lines[cut.id]["check"]["missing"]["words"] == cut.missing.words
    assert summary(folder)["checks"] == {"good": 15, "bad": 5}
    found = batchjobs.status(folder)
    assert found.checks == {"good": 15, "bad": 5}
    assert found.check_audio_seconds > 0
    assert isinstance(next(batchjobs.read_results(folder))["check"], dict)


def test_bad_clips_are_bought_again_and_the_best_take_kept(folder: Path) -> None:
    """Each once; the run sees finished rows with the new files; what was bad stands with the takes."""
    before = {line["id"]: line["pcm_sha256"] for line in results(folder)}
    report = batchjobs.check(folder, regenerate=2)
    assert (report.exit_code, report.bad) == (0, ())
    assert set(report.improved) == set(PLANTED)
    assert _attempts(folder / TAKES) == len(PLANTED)
    assert batchjobs.verify(folder).wrong == ()
    after = {line["id"]: line["pcm_sha256"] for line in results(folder)}
    assert {name for name in after if after[name] != before[name]} == set(PLANTED)
    with Checkpoint.read(folder) as checkpoint:
        for name in PLANTED:
            own, take = checkpoint.checks.find_takes(name)
            assert (own.take, own.verdict) == (0, CheckVerdict.BAD)
            assert (take.take, take.verdict) == (1, CheckVerdict.GOOD)
            assert (folder / own.path).is_file()
            assert (folder / take.path).is_file()
            assert checkpoint.checks.find([name])[name] == take
    characters = sum(len(row["text"]) for row in ROWS if row["id"] in PLANTED)
    assert report.summary.quality_characters == characters
    again = _run(folder)
    assert (again.plan.to_do, again.summary.attempts) == (0, len(ROWS))
    assert again.summary.checks == {"good": 20}
    # The takes that stand in their rows' places were heard, and are not heard again.
    heard = _attempts(folder / CHECK)
    once_more = batchjobs.check(folder, regenerate=2)
    assert once_more.verdicts == {CheckVerdict.GOOD: 20}
    assert (_attempts(folder / CHECK), _attempts(folder / TAKES)) == (heard, len(PLANTED))


def test_only_what_was_bought_anew_is_checked_anew(folder: Path) -> None:
    """After an edit one clip is heard, and the verdicts of the others stand."""
    heard = _attempts(folder / CHECK)
    rows = [dict(row) for row in ROWS]
    edited = next(row for row in rows if row["id"] not in PLANTED)
    edited["text"] = f"{TEXTS[1]} ثم مضى"
    _run(folder, rows, replace=True)
    assert batchjobs.status(folder).checks == {"good": 14, "bad": 5}
    batchjobs.check(folder)
    assert _attempts(folder / CHECK) == heard + 1
    assert batchjobs.status(folder).checks == {"good": 15, "bad": 5}


def test_a_budget_holds_over_hearing_and_buying(planted: Path, tmp_path: Path) -> None:
    """What was heard counts; with no room left, nothing more is bought, and the code says so."""
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns(CHECK))
    config = tmp_path / "batchjobs.toml"
    config.write_text(PRICED, encoding="utf-8")
    seconds = sum(line["audio_seconds"] for line in results(folder))
    hearing = seconds / 100
    options = Options(engine="tone", config=config, budget=hearing + 0.15)
    report = batchjobs.check(folder, options, regenerate=3)
    assert report.exit_code == errors.BudgetReachedError.exit_code
    spent = report.summary
    assert 0 < sum(spent.quality_spent.values()) <= 0.15
    assert sum(spent.check_spent.values()) + sum(spent.quality_spent.values()) <= hearing + 0.15
    assert report.bad
    wide = batchjobs.check(folder, replace(options, budget=100.0), regenerate=3)
    assert wide.exit_code == 0
    assert _attempts(folder / TAKES) == len(PLANTED)


def test_a_take_that_is_as_bad_ends_the_purchases(folder: Path) -> None:
    """Where the service says the same again, it is how it is heard: inconclusive, and named."""
    name = next(name for name, fault in PLANTED.items() if fault == "cut")
    report = batchjobs.check(folder, regenerate=1)
    assert report.exit_code == 0
    with Checkpoint.read(folder / TAKES) as takes:
        assert f"{name}.take1" in takes.rows.find_outcomes([f"{name}.take1"])
    _plant(folder, {name: "cut"})
    _plant_take(folder, name)
    again = batchjobs.check(folder, regenerate=2)
    assert again.bad == ()
    assert again.verdicts[CheckVerdict.INCONCLUSIVE] == 1
    assert _attempts(folder / TAKES) == len(PLANTED)


def _plant_take(folder: Path, name: str) -> None:
    """Let the take that was bought have the very fault of the clip."""
    outcome = {line["id"]: line for line in results(folder)}[name]
    pcm = read_pcm(folder / outcome["output"])
    with Checkpoint.read(folder) as checkpoint:
        path = checkpoint.rows.find_outcomes([name])[name].row.output
    pcm = read_pcm(folder / path)
    plant(folder / TAKES, {f"{name}.take1": (pcm, RATE)})


def test_a_sample_and_the_worst_are_fewer_clips(planted: Path, tmp_path: Path) -> None:
    """The same ones each time; the worst are those with the oddest signs, silence first."""
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns(CHECK))
    sampled = batchjobs.check(folder, sample=0.4)
    count = sum(sampled.verdicts.values())
    assert 0 < count < 20
    heard = _attempts(folder / CHECK)
    assert batchjobs.check(folder, sample=0.4).verdicts == sampled.verdicts
    assert _attempts(folder / CHECK) == heard
    worst = batchjobs.check(folder, worst=1)
    assert [PLANTED[each.id] for each in worst.bad] == ["silent"]


def test_a_run_that_goes_on_is_checked_as_far_as_it_is_done(folder: Path) -> None:
    """It is said; nothing is written where the run writes, and no clip is bought again."""
    with Checkpoint.open(folder):
        report = batchjobs.check(folder)
        assert not report.is_stored
        assert len(report.bad) == len(PLANTED)
        with pytest.raises(errors.RunLockedError):
            batchjobs.check(folder, regenerate=1)
    assert batchjobs.check(folder).is_stored


def test_transcripts_are_measured_beside_their_references(tmp_path: Path, folder: Path) -> None:
    """Without a purchase: the rates of each, and where words are missing."""
    said = results(folder)[0]
    rows = [
        {"id": "a", "audio": said["output"], "reference": said["text"]},
        {"id": "b", "audio": said["output"], "reference": f"{said['text']} ثم مضى ولم يلتفت"},
        {"id": "c", "audio": said["output"], "reference": ""},
    ]
    heard = tmp_path / "heard"
    batchjobs.run(rows, Options(output=heard, engine="tone", input_root=folder))
    report = batchjobs.check(heard)
    assert (report.exit_code, report.clips) == (0, 0)
    assert report.verdicts == {CheckVerdict.SCORED: 2}
    lines = {line["id"]: line for line in results(heard)}
    assert lines["a"]["check"]["wer"] == 0
    assert lines["b"]["check"]["missing"]["count"] == 4
    assert "check" not in lines["c"]
    assert not (heard / CHECK).exists()


def test_a_price_that_is_not_known_is_refused_before_anything(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a budget, of who is to hear, and of who is to speak again."""
    shutil.rmtree(folder / CHECK)
    monkeypatch.setenv("OTHER_KEY", "x" * 20)
    config = tmp_path / "batchjobs.toml"
    config.write_text(
        '[providers.other]\nbase_url = "ws://127.0.0.1:9/api/v1"\nkey_variable = "OTHER_KEY"\n',
        encoding="utf-8",
    )
    options = Options(provider="other", config=config, budget=1.0)
    with pytest.raises(errors.ConfigurationError, match="no price is set"):
        batchjobs.check(folder, options)
    assert not (folder / CHECK).exists()
    with pytest.raises(errors.ConfigurationError, match="no provider"):
        batchjobs.check(folder, Options(provider="nobody"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sample": 0.0}, "no share"),
        ({"sample": 1.5}, "no share"),
        ({"worst": 0}, "below 1"),
        ({"worst": 3, "sample": 0.5}, "two ways"),
        ({"regenerate": 10}, "10 times"),
        ({"distinguish": ["vowels"]}, "no step 'vowels'"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, given: dict[str, object], said: str) -> None:
    """Each with a sentence."""
    with pytest.raises(errors.UsageError, match=said):
        batchjobs.check(folder, **given)  # type: ignore[arg-type]


def test_what_cannot_be_checked_is_told(tmp_path: Path, folder: Path) -> None:
    """No run, a run without speech, and one whose results stand where a check has its own files."""
    with pytest.raises(errors.NoRunError):
        batchjobs.check(tmp_path)
    heard = tmp_path / "heard"
    audio = results(folder)[0]["output"]
    batchjobs.run([{"audio": audio}], Options(output=heard, engine="tone", input_root=folder))
    with pytest.raises(errors.UsageError, match="nothing to check"):
        batchjobs.check(heard)
    other = tmp_path / "other"
    _run(other, [{"id": "a", "text": "صباح الخير", "output": "takes/a.wav"}])
    with pytest.raises(errors.OutputError, match=r"takes/a\.wav"):
        batchjobs.check(other)
    assert (other / "takes/a.wav").is_file()


def test_a_clip_that_is_gone_is_no_reason_not_to_check_the_others(folder: Path) -> None:
    """It cannot be told of, and is named by the run in which clips are heard."""
    line = next(line for line in results(folder) if line["id"] not in PLANTED)
    (folder / line["output"]).unlink()
    report = batchjobs.check(folder)
    assert report.verdicts[CheckVerdict.BAD] == len(PLANTED)
    assert sum(report.verdicts.values()) == len(ROWS)


def test_steps_can_be_told_apart(tmp_path: Path) -> None:
    """What makes no difference usually makes one if it is asked to."""
    folder = tmp_path / "run"
    text = "ذهبت إلى المدرسة صباحا ثم عدت منها مساء"
    _run(folder, [{"id": "a", "text": text}])
    speaker = ToneSynthesiser()
    other = say_with_fault(
        "wrong", text, speaker, other=text.replace("إلى", "الي"), rate=RATE, voice="v"
    )
    plant(folder, {"a": (other, RATE)})
    batchjobs.check(folder)
    assert results(folder)[0]["check"]["wer"] == 0
    batchjobs.check(folder, distinguish=["hamza", "yeh"])
    assert results(folder)[0]["check"]["wer"] > 0
    assert (folder / CHECK / CHECKPOINT).is_file()


def test_a_recogniser_that_fails_buys_nothing(folder: Path) -> None:
    """Much of a voice is not understood: that cannot be told, and no take of it is bought."""
    speaker = ToneSynthesiser()
    plant(
        folder,
        {
            row["id"]: (
                say_with_fault("wrong", row["text"], speaker, other="x", rate=RATE, voice="v"),
                RATE,
            )
            for row in ROWS[:10]
            if row["id"] not in PLANTED
        },
    )
    report = batchjobs.check(folder, regenerate=3)
    assert report.verdicts[CheckVerdict.INCONCLUSIVE] >= 7
    bought = {line["id"].removesuffix(".take1") for line in results(folder / TAKES)}
    assert bought <= PLANTED.keys()


def test_where_much_is_bad_a_few_are_tried_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if their takes are no better, nothing else is bought: it is the recogniser."""
    monkeypatch.setattr(checking, "_MANY_BAD", 3)
    monkeypatch.setattr(checking, "_TRIED", 2)
    # The service fails at all of them again, each time otherwise: what it says is half of it.
    monkeypatch.setattr(checking, "choose_best", lambda checks: checks[0])
    report = batchjobs.check(folder, regenerate=3)
    assert report.bad == ()
    assert report.verdicts[CheckVerdict.INCONCLUSIVE] == len(PLANTED)
    assert _attempts(folder / TAKES) == 2


STEPS = ("begin_exchange", "end_exchange")


class _KilledError(Exception):
    """Stands for a kill: nothing after it is done."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_after", [False, True])
def test_a_kill_while_takes_are_put_in_place_costs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, is_after: bool
) -> None:
    """Before and after each write of the checkpoint: the run, or the check, goes on without a purchase."""
    real = getattr(Checkpoint, step)

    def killed(checkpoint: Checkpoint, *given: object) -> None:
        if is_after:
            real(checkpoint, *given)
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, step, killed)
        with pytest.raises(_KilledError):
            batchjobs.check(folder, regenerate=1)
    bought = _attempts(folder / TAKES)
    heard = _attempts(folder / CHECK)
    assert bought == len(PLANTED)
    ours = shutil.copytree(folder, folder.with_name("ours"))
    assert _run(ours).plan.to_buy.sessions == 0
    assert _attempts(ours) == _attempts(folder) == len(ROWS)
    for place in (ours, folder):
        report = batchjobs.check(place, regenerate=1)
        assert (report.exit_code, report.bad) == (0, ())
        assert (_attempts(place / TAKES), _attempts(place / CHECK)) == (bought, heard)
        assert batchjobs.verify(place).wrong == ()
        assert _run(place).plan.to_do == 0


def test_takes_of_an_earlier_content_are_not_those_of_the_new_one(folder: Path) -> None:
    """After an edit a row's first take is bought anew, and rows that ask the same share it."""
    batchjobs.check(folder, regenerate=1)
    name = next(iter(PLANTED))
    rows = [dict(row) for row in ROWS]
    for row in rows:
        if row["id"] in {name, ROWS[0]["id"]}:
            row["text"] = f"{TEXTS[2]} ثم قال: نعم، وألف شكر لكم جميعا أيها الناس"
    _run(folder, rows, replace=True)
    text = next(row["text"] for row in rows if row["id"] == name)
    pcm = say_with_fault("cut", text, ToneSynthesiser(), other="", rate=RATE, voice="v")
    plant(folder, {name: (pcm, RATE), ROWS[0]["id"]: (pcm, RATE)})
    report = batchjobs.check(folder, regenerate=1)
    assert report.bad == ()
    assert set(report.improved) == {name, ROWS[0]["id"]}
    assert _attempts(folder / TAKES) == len(PLANTED) + 1


def _decide(folder: Path, decisions: Mapping[str, str]) -> None:
    """Carry out what somebody who listened has decided about the clips as they stand."""
    with Checkpoint.read(folder) as checkpoint:
        run, found = checkpoint.identify(), checkpoint.lookups.find(list(decisions))
    lines = [
        DecisionLine(
            run=run, id=name, decision=Decision(decision), sha256=found[name].files[0].sha256
        )
        for name, decision in decisions.items()
    ]
    path = folder / REVIEW
    path.write_bytes(b"".join(write_decisions(lines)))
    batchjobs.review(folder, path)


def test_nothing_is_bought_for_clips_that_somebody_accepted_or_dropped(folder: Path) -> None:
    """They stay what they are: a listener knows better than a recogniser."""
    accepted, dropped, *others = PLANTED
    before = {line["id"]: line["pcm_sha256"] for line in results(folder)}
    _decide(folder, {accepted: "accept", dropped: "drop"})
    report = batchjobs.check(folder, regenerate=1)
    assert _attempts(folder / TAKES) == len(others)
    assert set(report.improved) == set(others)
    assert {each.id for each in report.bad} == {accepted, dropped}
    after = {line["id"]: line["pcm_sha256"] for line in results(folder)}
    assert {name for name in after if after[name] != before[name]} == set(others)


def test_a_take_that_somebody_rejected_is_never_put_back(folder: Path) -> None:
    """Whatever the recogniser says of it, and however bad what was bought after it is."""
    batchjobs.check(folder, regenerate=1)
    name = next(name for name, fault in PLANTED.items() if fault == "cut")
    rejected = {line["id"]: line["pcm_sha256"] for line in results(folder)}[name]
    _decide(folder, {name: "reject"})
    assert _run(folder).plan.to_do == 1
    _plant(folder, {name: "cut"})
    report = batchjobs.check(folder, regenerate=1)
    assert [each.id for each in report.bad] == [name]
    assert report.improved == ()
    assert {line["id"]: line["pcm_sha256"] for line in results(folder)}[name] != rejected


def test_a_run_of_an_earlier_version_shows_what_the_first_check_found(tmp_path: Path) -> None:
    """Its checkpoint has no place for verdicts until it is brought to this version."""
    folder = tmp_path / "run"
    _run(folder, ROWS[:6])
    with closing(sqlite3.connect(folder / CHECKPOINT)) as connection, connection:
        for table in (
            "checks",
            "reviews",
            "tracks",
            "loudness",
            "parts",
            "groups",
            "shapes",
            "receipts",
        ):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE attempts DROP COLUMN account")
        connection.execute("PRAGMA user_version = 4")
    assert batchjobs.check(folder).summary.checks == {"good": 6}
