"""The command `plan` tells what `run` would do: with the same settings, and the same refusals."""

import json
import sys
import wave
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
        ("concurency = 3", "did you mean 'concurrency'?"),
        ('concurrency = "none"', "give 1 to 10000, or auto"),
        ("attempts = 0", "'attempts' in batchjobs.toml, [run]"),
        ('rate = "fast"', "'rate' in batchjobs.toml, [run]: 'fast' is not a rate"),
        ("budget = -1", "'budget' in batchjobs.toml, [run]"),
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
    Path("batchjobs.toml").write_text("[providers.munsit]\nstt_price_per_hour = 0\n")
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
    unpriced = "[providers.munsit]\nstt_price_per_hour = 0\n"
    Path("batchjobs.toml").write_text(unpriced + ("" if is_typed else "[run]\nbudget = 20\n"))
    words = ["heard.csv", "-p", "munsit", *(["--budget", "20"] if is_typed else [])]
    planned, run = command("plan", *words), command("run", *words)
    assert planned.code == run.code == 78
    assert planned.err == run.err
    assert "stt_price_per_hour below [providers.munsit]" in planned.err
    assert not planned.out


def test_transcription_is_priced_as_others_were_billed(command: Command, folder: Path) -> None:
    """0.19 USD an hour, within a budget in money as without; another price is the user's to set."""
    with wave.open("hour.wav", "wb") as recording:
        recording.setparams((1, 2, 8_000, 0, "NONE", ""))
        recording.writeframes(bytes(2 * 8_000 * 1_800))
    Path("heard.csv").write_text("audio\nhour.wav\n")
    words = ["plan", "heard.csv", "-p", "munsit", "--budget", "20", "--json"]
    assert json.loads(command(*words).out)["cost_by_currency"] == {"USD": 0.095}
    Path("batchjobs.toml").write_text("[providers.munsit]\nstt_price_per_hour = 36.0\n")
    assert json.loads(command(*words).out)["cost_by_currency"] == {"USD": 18.0}


def test_a_plan_names_the_model_and_the_voice(command: Command, folder: Path) -> None:
    """Who would do it, and with what: seen before it is paid for, also where rows name them."""
    Path("one.csv").write_text("text\nمَرْحَبًا ١٢٣\n")
    told = command("plan", "one.csv", "-p", "munsit", "--voice", "ar-najdi-male-2").out
    assert "speech by munsit with faseeh-v1-preview, voice ar-najdi-male-2\n" in told
    told = command("plan", "one.csv", "-p", "faseeh", "--voice", "سارة", "--model", "m2").out
    assert "speech by faseeh with m2, voice سارة\n" in told
    told = command("plan", "one.csv", "--engine", "tone").out
    assert "speech by local with engine tone, voice ar-najdi-male-2\n" in told
    rows = [(f"m{n % 5}", f"v{n % 2}") for n in range(9)]
    table = "".join(f"text {n},{model},{voice}\n" for n, (model, voice) in enumerate(rows))
    Path("many.csv").write_text(f"text,model_id,voice_id\n{table}same,,\nsame,,\n")
    told = command("plan", "many.csv", "-p", "munsit", "--voice", "v0").out
    assert (
        "speech by munsit with m0 (2), m1 (2), m2 (2) and 3 more, voices v0 (6), v1 (4)\n" in told
    )


def test_a_plan_as_json_names_models_and_voices(command: Command, greeting: Path) -> None:
    """Each use by itself: provider, kind, model, voice, rows; nothing of what is not bought."""
    command("run", greeting, "--engine", "tone")
    Path("mixed.csv").write_text("text,audio\nHello,\nHello,\n,outputs/greeting/audio/a.wav\n")
    words = ["plan", "mixed.csv", "-p", "munsit", "--voice", "v"]
    uses = json.loads(command(*words, "--json").out)["uses"]
    assert uses == [
        {
            "provider": "munsit",
            "kind": "stt",
            "model": "munsit",
            "engine": "",
            "voice": "",
            "rows": 1,
        },
        {
            "provider": "munsit",
            "kind": "tts",
            "model": "faseeh-v1-preview",
            "engine": "",
            "voice": "v",
            "rows": 1,
        },
    ]
    told = command(*words).out
    assert "transcription by munsit with munsit\n" in told
    assert json.loads(command("plan", greeting, "--engine", "tone", "--json").out)["uses"] == []
    Path("batchjobs.toml").write_text('[providers.munsit]\nstt_model = ""\n')
    assert "transcription by munsit with no model named\n" in command(*words).out


def test_plan_tells_and_touches_nothing(command: Command, greeting: Path) -> None:
    """A plan prices the rows, and leaves no folder behind."""
    ended = command("plan", greeting, "-p", "munsit", "--voice", "v")
    assert ended.code == 0
    assert "2  new" in ended.out
    assert "46 characters" in ended.out
    assert "USD" in ended.out
    assert not Path("outputs").exists()
    made = json.loads(command("plan", greeting, "--json").out)
    assert made["by_action"]["new"]["rows"] == 2


def test_plan_sees_what_a_run_has_done(command: Command, greeting: Path) -> None:
    """After a run, a plan counts done, changed, orphaned and new rows."""
    command("run", greeting, "--engine", "tone")
    greeting.write_text("id,text\na,Another text now\nc,And a new row\n")
    told = command("plan", greeting, "--engine", "tone").out
    assert "1  new" in told
    assert "1  changed" in told
    assert "1  finished job is in the run folder but not in the manifest" in told


@pytest.mark.parametrize("choice", [(), ("--select", "coverage")])
def test_a_plan_shows_on_a_terminal_how_far_it_is(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch, choice: tuple[str, ...]
) -> None:
    """Millions of rows, or recordings that are read, take their time; the line goes again."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = command("plan", greeting, *choice).err
    assert "checked 2 rows" in shown
    assert shown.endswith("\r\x1b[K\r")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert "checked" not in command("plan", greeting, *choice, *(["--force"] * bool(choice))).err
