"""The command line as a user meets it: help, errors, exit codes, streams, settings."""

import fcntl
import io
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from batchjobs.api import carry_out
from tests.canary import KEY, place_in
from tests.clocks import PATIENCE_SECONDS, until
from tests.commands import ROOT, Command, process


@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_the_hooks_into_libraries_are_one_setting(
    command: Command, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switched off anywhere, they are off: what needs them is refused."""
    arguments = ["--no-library-hooks"] if way == "option" else []
    if way == "variable":
        monkeypatch.setenv("BATCHJOBS_LIBRARY_HOOKS", "0")
    if way == "file":
        Path("batchjobs.toml").write_text("[run]\nlibrary_hooks = false\n", encoding="utf-8")
    assert "needs its hook" in command("run", "--compress", *arguments, "x.csv").err


# -- help --------------------------------------------------------------------------------------


def test_help_waits_for_no_heavy_import() -> None:
    """The help comes without trio, numpy or soundfile, which take longer than it."""
    script = (
        "import sys\nsys.argv = ['batchjobs', 'run', '--help']\n"
        "from batchjobs.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'trio', 'numpy', 'soundfile', 'tqdm', 'orjson', 'soxr'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "batchjobs run manifests/quickstart.csv" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rum", "x.csv"], "'run'"),
        (["run", "--concurency", "3", "x.csv"], "--concurrency"),
        (["run", "-c", "0", "x.csv"], "give 1 to 10000, or auto"),
        (["run", "-c", "many", "x.csv"], "give 1 to 10000, or auto"),
        (["run"], "MANIFEST"),
        (["run", "--format", "opus", "x.csv"], "'flac'"),
        (["run", "-"], "give --output DIR"),
        (["run", "--encoding", "wide", "x.csv"], "'padded'"),
        (["run", "--compress", "--no-library-hooks", "x.csv"], "leave out one of"),
        (["status", "nowhere"], "there is no run in nowhere"),
        (["verify", "nowhere"], "there is no run in nowhere"),
        (["serve", "--fault", "dorp"], "drop"),
        (["run", "x.csv", "-p", "munsit", "--fault", "drop"], "--fault is for the local server"),
        (["plan", "x.csv", "-p", "munsit", "--engine", "tone"], "--engine is for the local server"),
        (
            ["run", "x.csv", "--base-url", "ws://127.0.0.1:1/api/v1", "--engine", "tone"],
            "with --base-url it starts none",
        ),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    command: Command, arguments: list[str], hint: str
) -> None:
    """A command put together wrongly exits with 2 and a hint."""
    ended = command(*arguments)
    assert ended.code == 2
    assert hint in ended.err


def test_completion_is_offered_for_commands_and_providers(folder: Path) -> None:
    """The shell can ask for the commands, and for the providers of the configuration file."""
    (folder / "batchjobs.toml").write_text('[providers.uae]\nlike = "faseeh"\n')
    for words, wanted in (("batchjobs ", "verify"), ("batchjobs run -p ", "uae")):
        done = subprocess.run(
            [sys.executable, "-c", "from batchjobs.cli import cli; cli(prog_name='batchjobs')"],
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "_BATCHJOBS_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split())),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"plain,{wanted}" in done.stdout


# -- running -----------------------------------------------------------------------------------


def test_a_run_ends_with_where_its_results_are_and_what_to_do_next(
    command: Command, greeting: Path
) -> None:
    """The summary counts, says where the results are, and what to try next."""
    ended = command("run", greeting, "--engine", "tone")
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("2 of 2 jobs done")
    assert "outputs/greeting" in ended.out
    assert "next:" in ended.out.splitlines()[-1]


def test_quiet_prints_nothing_that_is_no_error(command: Command, greeting: Path) -> None:
    """A quiet run that works prints nothing at all."""
    ended = command("run", greeting, "--engine", "tone", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_json_events_are_lines_of_json_and_the_last_one_tells_the_end(
    command: Command, greeting: Path
) -> None:
    """With --json the standard output holds events only."""
    ended = command("run", greeting, "--engine", "tone", "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["event"] for event in events] == [
        "run_started",
        "job_finished",
        "job_finished",
        "run_finished",
    ]
    assert events[-1]["exit_code"] == 0
    assert events[-1]["totals"]["done"] == 2
    assert "2 of 2 jobs done" in ended.err


def test_failed_jobs_exit_with_1_and_say_how_to_try_again(command: Command, greeting: Path) -> None:
    """A run with failed jobs names their classes and the way on; failed.jsonl is a manifest."""
    ended = command("run", greeting, "--engine", "tone", "--fault", "error:40001")
    assert ended.code == 1
    assert "2 permanent" in ended.out
    assert "--retry-failed" in ended.out.splitlines()[-1]
    kept = command("run", greeting, "--engine", "tone")
    assert (kept.code, "2 failed" in kept.out) == (1, True)
    assert command("run", greeting, "--engine", "tone", "--retry-failed").code == 0
    command("run", greeting, "--engine", "tone", "-o", "again", "--fault", "error:40001")
    ended = command("run", "again/failed.jsonl", "--engine", "tone")
    assert ended.code == 0
    assert (Path("outputs/failed/audio/a.wav")).is_file()


def test_failed_rows_that_name_files_are_a_manifest_with_an_input_root(
    command: Command, tmp_path: Path
) -> None:
    """Their paths are as they were: relative to the folder of the manifest that they came from."""
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("Hello to everybody here")
    Path("texts/rows.csv").write_text("id,text_file\na,a.txt\n")
    faulty = ("--engine", "tone", "--fault", "error:40001", "-o", "out")
    assert command("run", "texts/rows.csv", *faulty).code == 1
    ended = command("run", "out/failed.jsonl", "--engine", "tone", "--input-root", "texts")
    assert ended.code == 0


def test_limit_leaves_the_rest_for_the_next_run(command: Command, greeting: Path) -> None:
    """--limit does so many rows and says how to continue."""
    ended = command("run", greeting, "--engine", "tone", "--limit", "1")
    assert ended.code == 0
    assert "1 not run" in ended.out
    assert "continue:" in ended.out.splitlines()[-1]
    assert "2 of 2" in command("run", greeting, "--engine", "tone").out


def test_a_manifest_can_come_from_standard_input(greeting: Path) -> None:
    """'-' reads the manifest from the standard input."""
    with greeting.open() as source:
        run = process(
            "run", "-", "-o", "piped", "--engine", "tone", stdin=source, stdout=subprocess.PIPE
        )
        output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0
    assert "2 of 2" in output


def test_bars_show_on_a_terminal_and_vanish(greeting: Path) -> None:
    """On a terminal there is a bar of jobs and one of audio; at the end neither is left."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                return
            if not piece:
                return
            seen.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    run = process("run", greeting, "--engine", "tone", stdout=subprocess.DEVNULL, stderr=theirs)
    run.wait(PATIENCE_SECONDS)
    os.close(theirs)
    reader.join(PATIENCE_SECONDS)
    os.close(ours)
    assert run.returncode == 0
    text = seen.decode()
    assert "jobs:" in text
    assert "audio:" in text
    assert not text.rsplit("\r", 1)[-1].strip("\x1b[AK \n")


@pytest.mark.parametrize("target", ["/dev/full", "closed pipe"])
def test_a_broken_standard_output_changes_neither_work_nor_exit_code(
    greeting: Path, target: str
) -> None:
    """A full or closed standard output never stops paid work."""
    if target == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(target, os.O_WRONLY)
    run = process("run", greeting, "--engine", "tone", "--json", stdout=writing, stderr=writing)
    os.close(writing)
    assert run.wait(PATIENCE_SECONDS) == 0
    assert json.loads(Path("outputs/greeting/summary.json").read_bytes())["done"] == 2


# -- refusals ----------------------------------------------------------------------------------

BAD_MANIFESTS = {
    "empty": (b"", "empty"),
    "no header": (b"1,2\n3,4\n", "header"),
    "header only": (b"id,text\n", "row"),
    "unknown column": (b"id,txet\n1,a\n", "did you mean 'text'"),
    "duplicate id": (b"id,text\nx,One text\nx,Two texts\n", "bad.csv:3"),
    "both": (b"id,text,audio\n1,Hello,a.wav\n", "audio"),
    "neither": (b"id,text,audio\n1,,\n", "bad.csv:2"),
    "blank text": (b'id,text\n1,"   "\n', "bad.csv:2"),
    "speed": (b"id,text,speed\n1,Hello,1.3\n", "0.7"),
    "output format": (b"id,text,output_format\n1,Hello,pcm_44100\n", "pcm_24000"),
    "no recording": (b"id,audio\n1,missing.wav\n", "missing.wav"),
    "no audio in it": (b"id,audio\n1,bad.csv\n", "bad.csv"),
    "escape": (b"id,text,output\n1,Hello,../../x.wav\n", "output"),
    "audio escape": (b"id,audio\n1,../../../../etc/passwd\n", "audio"),
    "UTF-16": ("id,text\n1,مرحبا\n".encode("utf-16"), "UTF-16"),
    "NUL": (b"id,text\n1,He\0llo\n", "NUL"),
    "stray quote": (b'id,text\n1,"Hello\n2,World\n', "bad.csv:2"),
    "not UTF-8": (b"id,text\n1,\xff\xfe\xfd\n", "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_before_anything_is_spent(
    command: Command, folder: Path, name: str
) -> None:
    """A bad manifest exits with 65 and a located, named error, and leaves nothing behind."""
    content, hint = BAD_MANIFESTS[name]
    (folder / "bad.csv").write_bytes(content)
    for verb in ("plan", "run"):
        ended = command(verb, "bad.csv", "--engine", "tone")
        assert ended.code == 65
        assert "bad.csv" in ended.err
        assert hint in ended.err
        assert not (folder / "outputs" / "bad").exists()


def test_a_duplicate_id_names_both_lines(command: Command, folder: Path) -> None:
    """The error of an id used twice names the line of the other."""
    (folder / "bad.csv").write_bytes(BAD_MANIFESTS["duplicate id"][0])
    assert re.search(r"bad\.csv:3: column 'id'.*line 2", command("run", "bad.csv").err)


def test_bad_rows_can_be_skipped(command: Command, folder: Path) -> None:
    """With --skip-bad-rows the others run, and the bad ones are in failed.jsonl."""
    (folder / "some.csv").write_text("id,text,speed\na,Hello to you,1.0\nb,Hello again,9\n")
    ended = command("run", "some.csv", "--engine", "tone", "--skip-bad-rows")
    assert ended.code == 1
    failure = json.loads((folder / "outputs/some/failed.jsonl").read_bytes())
    assert (failure["id"], failure["error"]["class"]) == ("b", "bad_row")
    assert "0.7" in failure["error"]["message"]
    assert failure["error"]["message"].startswith("some.csv:3: column 'speed': ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--provider", "nobody"], "there is no provider 'nobody'"),
        (["--provider", "munsit", "--voice", "v"], "set MUNSIT_API_KEY"),
        (["--base-url", "ws://example.org/api/v1"], "--insecure"),
        (["--base-url", "http://127.0.0.1/api/v1"], "ws://"),
        (["--rate", "fast"], "N/s"),
        (["--engine", "parrot"], "tone"),
        (["--key-file", "open.key", "--provider", "munsit", "--voice", "v"], "chmod 600"),
        (["--config", "broken.toml"], "not TOML"),
        (["--config", "unknown.toml"], "unknown option 'concurency'"),
    ],
)
def test_bad_configuration_exits_with_78_and_says_what_to_do(
    command: Command,
    greeting: Path,
    arguments: list[str],
    hint: str,
) -> None:
    """A missing key or a setting that makes no sense exits with 78, and spends nothing."""
    Path("open.key").write_text(f"{KEY}\n")
    Path("open.key").chmod(0o644)
    Path("broken.toml").write_text("[run\n")
    Path("unknown.toml").write_text("[run]\nconcurency = 3\n")
    ended = command("run", greeting, *arguments)
    assert ended.code == 78
    assert hint in ended.err
    assert not place_in(ended.err)


def test_every_option_has_its_place_in_the_file(command: Command, greeting: Path) -> None:
    """Under the name that it has on the command line, in the table of its command."""
    Path("batchjobs.toml").write_text(
        '[run]\nformat = "flac"\nmax-audio = 3\njson = true\nengine = "tone"\n'
        "[verify]\njson = true\n[bind]\nbitrate = 32000\n[book]\nforce = true\n"
        "[scan]\nsettle = 1.0\n[probe]\nyes = true\n"
    )
    ended = command("run", greeting, "-o", "out")
    assert ended.code == 0
    assert json.loads(ended.out.splitlines()[0])["event"] == "run_started"
    assert list(Path("out/audio").glob("*.flac"))
    assert json.loads(command("verify", "out").out)["wrong"] == []
    Path("batchjobs.toml").write_text("[verify]\nnonsense = 1\n")
    ended = command("verify", "out")
    assert (ended.code, "unknown option 'nonsense'" in ended.err) == (78, True)


def test_an_output_that_cannot_be_made_exits_with_73(command: Command, greeting: Path) -> None:
    """A file in the place of the run folder, or of a result, is never overwritten."""
    Path("taken").write_text("mine")
    assert command("run", greeting, "--engine", "tone", "-o", "taken").code == 73
    Path("mine/audio").mkdir(parents=True)
    Path("mine/audio/a.wav").write_text("mine")
    ended = command("run", greeting, "--engine", "tone", "-o", "mine")
    assert (ended.code, "is not this run's" in ended.err) == (73, True)
    assert Path("mine/audio/a.wav").read_text() == "mine"


def test_a_second_run_in_the_folder_ends_at_once(greeting: Path) -> None:
    """While a run holds its folder another one ends with 75 and no connection."""
    first = process(
        "run", greeting, "--engine", "tone", "--fault", "hang", "--json", stdout=subprocess.PIPE
    )
    assert first.stdout is not None
    assert "run_started" in first.stdout.readline()
    second = process("run", greeting, "--engine", "tone", stderr=subprocess.PIPE)
    _, message = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 75
    assert "another run" in message
    first.send_signal(signal.SIGTERM)
    until(lambda: "run_stopping" in first.stdout.readline())
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == -signal.SIGTERM


# -- planning and looking ----------------------------------------------------------------------


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


def test_status_and_verify_tell_where_a_run_stands(command: Command, greeting: Path) -> None:
    """Status counts; verify checks every file, and exits with 1 if one is wrong."""
    command("run", greeting, "--engine", "tone", "--limit", 1)
    told = command("status", "outputs/greeting")
    assert "1 of 2 jobs done" in told.out
    assert "continue: batchjobs run" in told.out
    assert json.loads(command("status", "outputs/greeting", "--json").out)["not_run"] == 1
    command("run", greeting, "--engine", "tone", "--fault", "error:40001")
    assert "1  failed: permanent" in command("status", "outputs/greeting").out
    assert command("verify", "outputs/greeting").code == 0
    content = bytearray(Path("outputs/greeting/audio/a.wav").read_bytes())
    content[100] ^= 1
    Path("outputs/greeting/audio/a.wav").write_bytes(content)
    wrong = command("verify", "outputs/greeting")
    assert (wrong.code, "its content has changed" in wrong.out) == (1, True)
    assert wrong.out.splitlines()[-1].startswith("to make them again: batchjobs run ")
    assert json.loads(command("verify", "outputs/greeting", "--json").out)["checked"] == 1


def test_providers_tells_where_each_value_comes_from(command: Command, folder: Path) -> None:
    """Each setting is listed with the file that gives it, or as built in."""
    (folder / "batchjobs.toml").write_text("[providers.munsit]\nquiet_seconds = 1.5\n")
    told = command("providers").out
    assert "quiet_seconds = 1.5  [batchjobs.toml]" in told
    assert "quiet_seconds = 2.5  [built in]" in told
    assert "MUNSIT_API_KEY, not set" in told
    assert json.loads(command("providers", "--json").out)["munsit"]["quiet_seconds"] == 1.5


def test_settings_come_from_the_command_line_then_the_environment_then_the_file(
    command: Command,
    greeting: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The nearer setting wins."""
    Path("batchjobs.toml").write_text('[run]\nengine = "tone"\noutput = "from-file"\n')
    command("run", greeting)
    assert Path("from-file/audio/a.wav").is_file()
    monkeypatch.setenv("BATCHJOBS_OUTPUT", "from-environment")
    command("run", greeting)
    assert Path("from-environment/audio/a.wav").is_file()
    command("run", greeting, "-o", "from-command")
    assert Path("from-command/audio/a.wav").is_file()


# -- serving -----------------------------------------------------------------------------------


def test_serve_tells_its_address_and_ends_by_its_signal(folder: Path) -> None:
    """The server says where it is and how to use it, and SIGTERM ends it."""
    server = process("serve", "--engine", "tone", "--port", 0, stdout=subprocess.PIPE)
    assert server.stdout is not None
    told = [server.stdout.readline() for _ in range(3)]
    assert "serving tone at ws://127.0.0.1:" in told[0]
    assert "export BATCHJOBS_LOCAL_KEY=" in told[1]
    assert "--base-url" in told[2]
    server.terminate()
    server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == -signal.SIGTERM


def test_a_run_without_the_server_s_key_says_which_to_set(command: Command, greeting: Path) -> None:
    """Whoever forgot to export the printed key is told so, and not that a key is wrong."""
    server = process("serve", "--engine", "tone", "--port", 0, stdout=subprocess.PIPE)
    assert server.stdout is not None
    base_url = server.stdout.readline().split()[-1]
    ended = command("run", greeting, "--base-url", base_url)
    server.terminate()
    server.communicate(timeout=PATIENCE_SECONDS)
    assert ended.code == 77
    assert "no key for the provider 'local'" in ended.err
    assert "set BATCHJOBS_LOCAL_KEY to the one that 'batchjobs serve' printed" in ended.err


def test_serve_says_that_its_port_is_taken(command: Command) -> None:
    """A port in use is told as what it is, not as a bug."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = command("serve", "--engine", "tone", "--port", taken.getsockname()[1])
    assert ended.code == 78
    assert "choose another port" in ended.err


def test_a_probe_says_what_it_costs_and_prints_settings(command: Command) -> None:
    """The local server out of the box; a hosted one is asked about first, and no is no."""
    ended = command("probe", "local")
    assert ended.code == 0
    assert ended.out.endswith("[providers.local]\nclose_drains = true\n")
    assert "2 sessions" in ended.err
    assert "no cost" in ended.err
    assert json.loads(command("probe", "local", "--json").out)["close_drains"] is True
    ended = command("probe", "munsit")
    assert ended.code == 78
    assert "MUNSIT_API_KEY" in ended.err
    assert command("probe", "nobody").code == 78


def test_a_probe_that_costs_money_asks_first(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer nothing is spent; with --yes it goes on, here to a port that is shut."""
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    ended = command("probe", "munsit", "--voice", "v")
    assert (ended.code, ended.out) == (0, "")
    assert "0.00" in ended.err
    assert "nothing was spent" in ended.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ended = command("probe", "munsit", "--voice", "v")
    assert (ended.code, ended.out) == (2, "")
    assert "nothing was spent" in ended.err
    assert "--yes" in ended.err
    with socket.socket() as shut:
        shut.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{shut.getsockname()[1]}/api/v1"
        ended = command("probe", "munsit", "--voice", "v", "--base-url", url, "--yes")
    assert ended.code == 69
    assert KEY not in ended.out + ended.err


# -- pipes that break --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["providers"], ["status", "outputs/greeting"]], ids=str
)
def test_a_reader_that_goes_away_is_no_failure(
    command: Command, greeting: Path, words: list[str]
) -> None:
    """As in ``batchjobs status RUN | head``: nothing is wrong, and nothing is said of it."""
    command("run", greeting, "--engine", "tone", "--limit", "0")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        left = process(*words, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    _, told = left.communicate(timeout=PATIENCE_SECONDS)
    assert (left.returncode, told) == (0, "")


def test_any_other_broken_pipe_is_a_failure(
    command: Command,
    greeting: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody is told that all is well because something else stopped listening."""

    def broken(*_: object, **__: object) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            os.write(writing, b"x")
        finally:
            os.close(writing)

    monkeypatch.setattr(carry_out, "carry_out", broken)
    assert command("run", greeting, "--engine", "tone").code == 70
    assert "BrokenPipeError" in caplog.text
