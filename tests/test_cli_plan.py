"""The command `plan` tells what `run` would do: with the same settings, and the same refusals."""

from pathlib import Path

import pytest

from tests.commands import Command


def test_a_plan_takes_the_settings_of_the_run(command: Command, greeting: Path) -> None:
    """A provider and voice in [run] are priced, [plan] goes over them, the command line over both."""
    Path("batchjobs.toml").write_text('[run]\nprovider = "munsit"\nvoice = "v"\nbudget = 20\n')
    assert "USD" in command("plan", greeting).out
    with Path("batchjobs.toml").open("a") as file:
        file.write('[plan]\nprovider = "local"\n')
    assert "no cost" in command("plan", greeting).out
    assert "USD" in command("plan", greeting, "-p", "munsit").out


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ("concurency = 3", "[run]: unknown option 'concurency'"),
        ('concurrency = "none"', "give 1 to 10000, or auto"),
        ("attempts = 0", "--attempts"),
        ('rate = "fast"', "N/s"),
        ("budget = -1", "--budget"),
        ('format = "opus"', "'flac'"),
    ],
)
def test_a_plan_refuses_what_the_run_would_refuse(
    command: Command, greeting: Path, table: str, hint: str
) -> None:
    """What [run] says wrongly ends the plan as it would end the run, not an hour later."""
    Path("batchjobs.toml").write_text(f"[run]\n{table}\n")
    planned, run = command("plan", greeting), command("run", greeting)
    assert planned.code == run.code != 0
    assert hint in planned.err
    assert hint in run.err


def test_a_missing_price_is_told_by_what_it_is_for(command: Command, greeting: Path) -> None:
    """Beside the price of the speech it says that transcription has none, and where to set one."""
    command("run", greeting, "--engine", "tone")
    Path("mixed.csv").write_text("text,audio\nHello,\n,outputs/greeting/audio/a.wav\n")
    told = command("plan", "mixed.csv", "-p", "munsit", "--voice", "v").out
    assert "USD" in told
    assert (
        "no price is known for transcription by munsit: "
        "set stt_price_per_hour in batchjobs.toml, [providers.munsit]"
    ) in told
    assert "for speech" not in told
    Path("heard.csv").write_text("audio\noutputs/greeting/audio/a.wav\n")
    assert "cost unknown" in command("plan", "heard.csv", "-p", "munsit").out
    assert "no cost" in command("plan", "heard.csv").out


@pytest.mark.parametrize("is_typed", [True, False], ids=["typed", "in the file"])
def test_a_plan_refuses_a_budget_as_the_run_does(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch, *, is_typed: bool
) -> None:
    """Where there is no price that it could count by; and it says which setting is missing."""
    monkeypatch.setenv("MUNSIT_API_KEY", "k" * 20)
    command("run", greeting, "--engine", "tone")
    Path("heard.csv").write_text("audio\noutputs/greeting/audio/a.wav\n")
    Path("batchjobs.toml").write_text("" if is_typed else "[run]\nbudget = 20\n")
    words = ["heard.csv", "-p", "munsit", *(["--budget", "20"] if is_typed else [])]
    planned, run = command("plan", *words), command("run", *words)
    assert planned.code == run.code == 78
    assert planned.err == run.err
    assert "stt_price_per_hour below [providers.munsit]" in planned.err
    assert not planned.out
