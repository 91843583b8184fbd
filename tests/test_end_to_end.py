"""Whole runs as users start them: real processes, real sockets, real files, real kills."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchjobs.audio import decoding
from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.registry import synthesiser
from tests.canary import KEY, key_with
from tests.clocks import PATIENCE_SECONDS, until

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parent.parent
WRONG_KEY = key_with("-wrong-")

ARABIC = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ.",
    "صباح الخير، كيف حالك اليوم؟",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا.",
    "نستخدم مكتبة trio مع WebSocket لإنجاز العمل بسرعة!",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل.",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f.",
    "می\u200cخواهم لا\u200dإله\nإلا الله",
)
ENGLISH = (
    "Every row of this file is one job.",
    "It cost $3.50, i.e. 12% more than in 1998 – said Dr. Smith.",
    'He said: "Run it again", and nothing was done twice; good!',
    "naïve café, Ångström, 東京, 🎧 and a tab\tin the middle",
)


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: nobody's settings but the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHJOBS_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def batchjobs(
    *arguments: object, cwd: Path, expect: int | None = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "batchjobs", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, done.stdout + done.stderr
    return done


@contextmanager
def served(folder: Path, *arguments: object) -> Iterator[str]:
    """Serve in the background for as long as the block lasts; gives the base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchjobs", "serve", "--port", "0", *map(str, arguments)],
        cwd=folder,
        env=environment(BATCHJOBS_LOCAL_KEY=KEY),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"ws://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def write_manifest(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a CSV manifest with the columns of its first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def results(folder: Path) -> list[dict[str, object]]:
    """The lines of a run's results.jsonl."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_bytes().splitlines()]


def summary(folder: Path) -> dict[str, object]:
    """A run's summary.json."""
    return dict(json.loads((folder / "summary.json").read_bytes()))


def ledger_of(path: Path) -> list[dict[str, object]]:
    """What a server wrote down about its sessions."""
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- the first command -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the README's first command."""
    folder = tmp_path_factory.mktemp("quickstart")
    batchjobs("run", ROOT / "manifests" / "quickstart.csv", cwd=folder)
    return folder / "outputs" / "quickstart"


def test_the_quickstart_makes_playable_files_of_every_row(quickstart: Path) -> None:
    """The first command ends with 0 and every file can be decoded to the length it reports."""
    lines = results(quickstart)
    assert len(lines) == 8
    assert summary(quickstart)["done"] == 8
    for line in lines:
        if line["kind"] == "tts":
            frames, rate = decoding.measured(quickstart / str(line["output"]))
            assert rate == line["sample_rate"]
            lossy = str(line["output"]).endswith(".mp3")
            assert frames == pytest.approx(line["frames"], abs=3_000 if lossy else 0)
            assert not decoding.is_silent(decoding.decoded_pcm(quickstart / str(line["output"])))


def test_the_arabic_clips_are_what_espeak_says(quickstart: Path) -> None:
    """Each Arabic clip has the rate asked for and the length of the same text spoken again."""
    with (ROOT / "manifests" / "quickstart.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    engine = synthesiser("espeak")
    try:
        for line in results(quickstart):
            row = rows[str(line["id"])]
            if not re.search(r"[\u0600-\u06ff]", row["text"]):
                continue
            settings = SpeechSettings(
                voice_id=row["voice_id"],
                model_id="any",
                speed=float(row["speed"] or 1.0),
                output_format=row["output_format"],
            )
            again = b"".join(engine.synthesise(row["text"], settings))
            assert line["sample_rate"] == settings.sample_rate
            seconds = len(again) / 2 / settings.sample_rate
            # A text is sent sentence by sentence, which may cost or save a pause at each seam.
            assert line["audio_seconds"] == pytest.approx(seconds, rel=0.15)
    finally:
        engine.close()


def test_the_quickstart_transcribes_its_recordings(quickstart: Path) -> None:
    """Both recordings have a transcript that shares most words with what was said."""
    for line in results(quickstart):
        if line["kind"] == "stt":
            transcript = (quickstart / str(line["output"])).read_text(encoding="utf-8")
            assert transcript == line["transcript"]
            said = str(line["reference"]).split()
            heard = transcript.split()
            assert sum(word in heard for word in said) >= 0.8 * len(said)


def test_running_again_opens_no_session(quickstart: Path) -> None:
    """The same command again does nothing, and says that all is done."""
    before = summary(quickstart)["attempts"]
    manifest = ROOT / "manifests" / "quickstart.csv"
    again = batchjobs("run", manifest, "-o", quickstart, cwd=quickstart)
    assert "nothing to do: 8 of 8 jobs were done before" in again.stdout
    assert summary(quickstart)["attempts"] == before


# -- exactness ---------------------------------------------------------------------------------


def test_two_hundred_texts_come_back_exactly(tmp_path: Path) -> None:
    """Text, spoken by tone, written as WAV, transcribed by tone, is the same text."""
    dice = random.Random(20)
    texts = [
        f"{dice.choice(ARABIC)} {dice.choice(ENGLISH)} {number}"
        if number % 3
        else dice.choice(ARABIC) * 2
        for number in range(200)
    ]
    rows = [
        {"id": f"t{number}", "text": text, "take": number, "output_format": rate}
        for number, (text, rate) in enumerate(
            zip(
                texts,
                dice.choices(("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000"), k=200),
                strict=True,
            )
        )
    ]
    spoken = write_manifest(tmp_path / "spoken.csv", rows)
    batchjobs("run", spoken, "--engine", "tone", "-o", "spoken", cwd=tmp_path)
    heard = write_manifest(
        tmp_path / "heard.csv",
        [{"id": row["id"], "audio": f"spoken/audio/{row['id']}.wav"} for row in rows],
    )
    batchjobs("run", heard, "--engine", "tone", "-o", "heard", cwd=tmp_path)
    transcripts = {str(line["id"]): line["transcript"] for line in results(tmp_path / "heard")}
    assert transcripts == {str(row["id"]): text for row, text in zip(rows, texts, strict=True)}


def test_long_texts_come_back_exactly(tmp_path: Path) -> None:
    """Texts of minutes, one session or several, come back though their recordings are cut again."""
    texts = {
        "one session": "\n".join(f"{ARABIC[0]} {number}." for number in range(35)),
        "several": " ".join(f"{ENGLISH[0]} Again:  {number}." for number in range(70)),
        "paragraphs": "\n\n".join(f"{ARABIC[4]} {ARABIC[6]} {number}" for number in range(45)),
    }
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    spoken = write_manifest(tmp_path / "spoken.csv", rows)
    batchjobs("run", spoken, "--engine", "tone", "-o", "spoken", cwd=tmp_path)
    lines = results(tmp_path / "spoken")
    assert all(float(str(line["audio_seconds"])) > 90 for line in lines)
    heard = write_manifest(
        tmp_path / "heard.csv",
        [{"id": line["id"], "audio": f"spoken/{line['output']}"} for line in lines],
    )
    batchjobs("run", heard, "--engine", "tone", "-o", "heard", cwd=tmp_path)
    assert {line["id"]: line["transcript"] for line in results(tmp_path / "heard")} == texts


def test_speech_that_is_not_heard_is_no_finished_job(tmp_path: Path) -> None:
    """A recording of speech that comes back empty is in doubt, with its place; silence is done."""
    spoken = SpeechSettings(voice_id="ar", model_id="m", output_format="pcm_16000")
    engine = synthesiser("espeak")
    pcm = b"".join(engine.synthesise(ARABIC[0] * 3, spoken))
    engine.close()
    sounds = {"speech": bytes(96_000) + pcm, "silence": bytes(len(pcm))}
    for name, sound in sounds.items():
        content = decoding.encode(sound, sample_rate=16_000, format="flac")
        (tmp_path / f"{name}.flac").write_bytes(content)
    rows = [{"id": name, "audio": f"{name}.flac"} for name in sounds]
    manifest = write_manifest(tmp_path / "talks.csv", rows)
    batchjobs("run", manifest, "--engine", "tone", "-o", "heard", cwd=tmp_path, expect=1)
    assert [line["id"] for line in results(tmp_path / "heard")] == ["silence"]
    [line] = (tmp_path / "heard" / "failed.jsonl").read_bytes().splitlines()
    doubted = json.loads(line)
    assert (doubted["id"], doubted["status"]) == ("speech", "suspect")
    [against] = doubted["kept"]["against"]
    assert against["sign"] == "unheard"
    assert 2.9 < against["start_seconds"] < 4.0
    assert against["end_seconds"] > len(pcm) / 32_000


# -- scale -------------------------------------------------------------------------------------


def peak_mib(command: Sequence[object], cwd: Path) -> float:
    """Run a command to its end; give the peak memory of the command alone, in MiB."""
    script = (
        "import os, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)\n"
        "_, status, usage = os.wait4(pid, 0)\n"
        "print(usage.ru_maxrss)\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, sys.executable, *map(str, command)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) / 1024


def test_a_thousand_rows_at_once_stay_small(tmp_path: Path) -> None:
    """1,000 rows at concurrency 64 take under 200 MiB, and hardly more than 200 rows do."""
    peaks = []
    for count in (200, 1_000):
        rows = [{"id": f"r{n}", "text": f"صباح الخير row {n}"} for n in range(count)]
        manifest = write_manifest(tmp_path / f"m{count}.csv", rows)
        command = ["-m", "batchjobs", "run", manifest, "--engine", "tone", "-c", 64, "-q"]
        peaks.append(peak_mib(command, tmp_path))
        assert summary(tmp_path / "outputs" / f"m{count}")["done"] == count
    assert peaks[1] < 200
    assert peaks[1] < 1.2 * peaks[0]


# -- kills -------------------------------------------------------------------------------------


def test_a_run_killed_ten_times_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """After ten SIGKILLs at random moments every output is right, and no finished job is repeated."""
    dice = random.Random(7)
    rows = [{"id": f"k{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(150)]
    manifest = write_manifest(tmp_path / "kills.csv", rows)
    ledger = tmp_path / "ledger.jsonl"
    concurrency = 4
    with served(tmp_path, "--engine", "tone", "--pace", 12, "--ledger", ledger) as base_url:
        command = (
            "run",
            manifest,
            "--base-url",
            base_url,
            "-c",
            concurrency,
            "-q",
            "--attempts",
            12,
        )
        kills = 0
        for _ in range(10):
            process = subprocess.Popen(
                [sys.executable, "-m", "batchjobs", *map(str, command)],
                cwd=tmp_path,
                env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            )
            try:
                process.wait(dice.uniform(0.5, 1.6))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(PATIENCE_SECONDS)
        batchjobs(*command, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert kills >= 8
    folder = tmp_path / "outputs" / "kills"
    counted = summary(folder)
    assert (counted["rows"], counted["done"], counted["failed"]) == (150, 150, 0)
    assert batchjobs("verify", folder, cwd=tmp_path).returncode == 0
    assert not list(folder.rglob("*.part"))
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(ledger)
        if line["event"] == "end" and line["complete"]
    )
    repeated = sum(ended.values()) - len(ended)
    assert len(ended) == 150
    assert repeated <= kills * concurrency
    assert counted["attempts_lost"] >= repeated


def test_ctrl_c_ends_by_its_signal_and_the_next_run_continues(tmp_path: Path) -> None:
    """SIGINT drains, tells how to continue, and ends by SIGINT; nothing is bought twice."""
    rows = [{"id": f"c{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(60)]
    manifest = write_manifest(tmp_path / "stopped.csv", rows)
    ledger = tmp_path / "ledger.jsonl"
    with served(tmp_path, "--engine", "tone", "--pace", 8, "--ledger", ledger) as base_url:
        command = ("run", manifest, "--base-url", base_url, "-c", 4)
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, command)],
            cwd=tmp_path,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: ledger.exists() and ledger.read_text().count('"end"') >= 6)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGINT
        assert "continue: " in output.splitlines()[-1]
        first = summary(tmp_path / "outputs" / "stopped")
        assert 0 < int(str(first["done"])) < 60
        assert first["done"] == 60 - int(str(first["not_run"]))
        batchjobs(*command, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(ledger)
        if line["event"] == "end" and line["complete"]
    )
    assert len(ended) == 60
    assert set(ended.values()) == {1}


# -- faults ------------------------------------------------------------------------------------

IMPATIENT = """
[providers.local]
connect_seconds = 2.0
ready_seconds = 1.0
first_audio_seconds = 1.0
first_transcript_seconds = 1.0
settle_seconds = 1.0
drain_seconds = 1.0
"""


@pytest.mark.parametrize("fault", ["handshake:503", "handshake:404", "silent"])
def test_a_service_that_does_nothing_for_anybody_ends_the_run(tmp_path: Path, fault: str) -> None:
    """Not the jobs: it refuses every connection, or takes the text and never speaks. Exit code 69."""
    (tmp_path / "batchjobs.toml").write_text(IMPATIENT, encoding="utf-8")
    rows = [{"id": name, "text": ENGLISH[1]} for name in ("one", "two")]
    manifest = write_manifest(tmp_path / "away.csv", rows)
    command = ("run", manifest, "--engine", "tone", "--fault", fault, "--attempts", 1)
    batchjobs(*command, cwd=tmp_path, expect=69)
    counted = summary(tmp_path / "outputs" / "away")
    assert (counted["failed"], counted["not_run"], counted["attempts"]) == (0, 2, 1)


@pytest.mark.parametrize(
    ("fault", "error_class", "code"),
    [
        ("mute", "timeout", ""),
        ("hang", "timeout", ""),
        ("truncate", "suspect", ""),
        ("silence", "suspect", ""),
        ("half-sample", "suspect", ""),
        ("rate-change", "suspect", ""),
        ("close:1000", "suspect", ""),
        ("close:1011", "transient", "1011"),
        ("drop", "transient", "1006"),
        ("garbage", "garbage", ""),
        ("error:50001", "transient", "50001"),
        ("error-string:50001", "transient", "50001"),
        ("error:40001", "permanent", "40001"),
    ],
)
def test_a_misbehaving_service_ends_in_its_named_outcome(
    tmp_path: Path, fault: str, error_class: str, code: str
) -> None:
    """Each way to misbehave fails the job by its name, if only by a deadline; never as done."""
    if error_class == "timeout":  # the others need no deadline, and a busy machine has a longer one
        (tmp_path / "batchjobs.toml").write_text(IMPATIENT, encoding="utf-8")
    rows = [{"id": "one", "text": f"{ENGLISH[1]} {ARABIC[0]} {ENGLISH[2]}"}]
    manifest = write_manifest(tmp_path / "faults.csv", rows)
    batchjobs(
        "run",
        manifest,
        "--engine",
        "tone",
        "--fault",
        fault,
        "--attempts",
        1,
        cwd=tmp_path,
        expect=1,
    )
    folder = tmp_path / "outputs" / "faults"
    failure = json.loads((folder / "failed.jsonl").read_text(encoding="utf-8"))
    assert failure["error"]["class"] == error_class
    assert failure["error"]["code"] == code
    assert not list(folder.glob("audio/*"))


def test_a_fault_that_passes_is_retried_to_the_end(tmp_path: Path) -> None:
    """A third of the sessions dropped: every job is done in the end, and the waste is told."""
    rows = [{"id": f"f{n}", "text": f"{ENGLISH[n % 4]} {n}"} for n in range(12)]
    manifest = write_manifest(tmp_path / "dropped.csv", rows)
    batchjobs(
        *("run", manifest, "--engine", "tone", "--fault", "drop@0.3", "-c", 12, "--attempts", 12),
        cwd=tmp_path,
    )
    counted = summary(tmp_path / "outputs" / "dropped")
    assert counted["done"] == 12
    assert int(str(counted["attempts"])) > 12


def test_a_wrong_key_costs_one_connection(tmp_path: Path) -> None:
    """A refused key stops the run at 77 after a single connection, every job untouched."""
    rows = [{"id": f"w{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(20)]
    manifest = write_manifest(tmp_path / "wrong.csv", rows)
    with served(tmp_path, "--engine", "tone") as base_url:
        done = batchjobs(
            *("run", manifest, "--base-url", base_url, "-c", 8),
            cwd=tmp_path,
            expect=77,
            BATCHJOBS_LOCAL_KEY=WRONG_KEY,
        )
    counted = summary(tmp_path / "outputs" / "wrong")
    assert (counted["attempts"], counted["failed"], counted["not_run"]) == (1, 0, 20)
    assert WRONG_KEY not in done.stdout + done.stderr
    for path in (tmp_path / "outputs").rglob("*"):
        assert not path.is_file() or WRONG_KEY.encode() not in path.read_bytes()


def test_a_service_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    """A refused connection ends the run at 69 with every job untouched."""
    manifest = write_manifest(tmp_path / "gone.csv", [{"id": "a", "text": "Hello there"}])
    command = ("run", manifest, "--base-url", "ws://127.0.0.1:9/api/v1", "--attempts", 1)
    done = batchjobs(*command, cwd=tmp_path, expect=69)
    assert "127.0.0.1" in done.stderr or "connect" in done.stderr
    assert summary(tmp_path / "outputs" / "gone")["not_run"] == 1


# -- changes between runs ----------------------------------------------------------------------


def change_text(rows: list[dict[str, object]]) -> None:
    """Edit the third row's text."""
    rows[2]["text"] = "An edited text, quite another one"


def insert_row(rows: list[dict[str, object]]) -> None:
    """Insert a row before all others."""
    rows.insert(0, {"id": "first", "text": "A row that was inserted at the top"})


def reorder(rows: list[dict[str, object]]) -> None:
    """Turn the rows round."""
    rows.reverse()


def remove_row(rows: list[dict[str, object]]) -> None:
    """Take a row out."""
    del rows[1]


@pytest.mark.parametrize(
    ("edit", "bought"), [(change_text, 1), (insert_row, 1), (reorder, 0), (remove_row, 0)]
)
def test_only_what_changed_is_bought_again(
    tmp_path: Path, edit: Callable[[list[dict[str, object]]], None], bought: int
) -> None:
    """After an edit of the manifest the same command buys exactly what is new or changed."""
    rows: list[dict[str, object]] = [
        {"id": f"e{n}", "text": f"{ARABIC[n]} {ENGLISH[n % 4]}"} for n in range(6)
    ]
    manifest = write_manifest(tmp_path / "edited.csv", rows)
    command = ("run", manifest, "--engine", "tone")
    batchjobs(*command, cwd=tmp_path)
    folder = tmp_path / "outputs" / "edited"
    before = int(str(summary(folder)["attempts"]))
    edit(rows)
    write_manifest(manifest, rows)
    batchjobs(*command, cwd=tmp_path)
    after = summary(folder)
    assert int(str(after["attempts"])) - before == bought
    assert after["done"] == len(rows) == after["rows"]


def test_a_deleted_output_is_missed_and_made_again(tmp_path: Path) -> None:
    """Verify says that an output is gone, and the next run makes it again, and only it."""
    rows = [{"id": f"d{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(4)]
    manifest = write_manifest(tmp_path / "deleted.csv", rows)
    command = ("run", manifest, "--engine", "tone")
    batchjobs(*command, cwd=tmp_path)
    folder = tmp_path / "outputs" / "deleted"
    (folder / "audio" / "d2.wav").unlink()
    missing = batchjobs("verify", folder, cwd=tmp_path, expect=1)
    assert "d2: audio/d2.wav: is missing" in missing.stdout
    batchjobs(*command, cwd=tmp_path)
    assert summary(folder)["attempts"] == 5
    batchjobs("verify", folder, cwd=tmp_path)


# -- budgets -----------------------------------------------------------------------------------


def test_a_budget_ends_the_run_and_counts_over_resumes(tmp_path: Path) -> None:
    """A run stops at its budget with 80, says what is left and its price; a larger one goes on."""
    (tmp_path / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10000.0\n", encoding="utf-8"
    )
    rows = [{"id": f"b{n:02}", "text": f"صباح الخير يا {n:02}"} for n in range(20)]
    each = len(str(rows[0]["text"]))
    manifest = write_manifest(tmp_path / "budget.csv", rows)
    command = ("run", manifest, "--engine", "tone", "-c", 8)
    folder = tmp_path / "outputs" / "budget"
    money = 5.5 * each / 100
    ended = batchjobs(*command, "--budget", money, cwd=tmp_path, expect=80)
    counted = summary(folder)
    assert (counted["done"], counted["failed"], counted["not_run"]) == (5, 0, 15)
    assert counted["spent"] == {"USD": pytest.approx(5 * each / 100)}
    assert "15 jobs are left" in ended.stderr
    assert f"{15 * each / 100:.2f} USD" in ended.stderr
    batchjobs(*command, "--budget", money, cwd=tmp_path, expect=80)
    assert summary(folder)["done"] == 5
    ended = batchjobs(*command, "--max-characters", 12 * each, cwd=tmp_path, expect=80)
    assert "raise --max-characters and run" in ended.stderr
    assert summary(folder)["characters_sent"] == 12 * each
    batchjobs(*command, cwd=tmp_path)
    assert summary(folder)["done"] == 20


def test_what_was_wasted_is_told(tmp_path: Path) -> None:
    """Sessions that led to nothing are counted apart in the summary."""
    (tmp_path / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10000.0\n", encoding="utf-8"
    )
    rows = [{"id": f"w{n}", "text": f"Hello to everybody {n}"} for n in range(4)]
    manifest = write_manifest(tmp_path / "waste.csv", rows)
    batchjobs(
        *("run", manifest, "--engine", "tone", "--fault", "error:50001#2", "-c", 1), cwd=tmp_path
    )
    counted = summary(tmp_path / "outputs" / "waste")
    each = len(str(rows[0]["text"])) / 100
    assert counted["spent"] == {"USD": pytest.approx(6 * each)}
    assert counted["wasted"] == {"USD": pytest.approx(2 * each)}


# -- books ---------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_book_killed_on_the_way_is_whole_and_bought_once(tmp_path: Path) -> None:
    """From EPUB to M4B: the small form of ``tests/proofs/audiobook.py``."""
    from tests.books import alice, kalila
    from tests.proofs.audiobook import proven

    chapters = [*((title, text[:12]) for title, text in alice()[:2]), kalila()]
    print(proven(tmp_path, chapters, 2, 7))
