"""The corpus of bad input, case by case and in whole runs: no crash, no row lost, no stray file."""

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import batchjobs
from batchjobs import text
from batchjobs.audio import decoding
from batchjobs.errors import RecordingError
from batchjobs.files.paths import path_inside
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from tests import tally
from tests.builders import (
    make_speech,
)
from tests.canary import KEY
from tests.faults import corpus_messages, corpus_recordings, corpus_texts
from tests.faults.corpus import NameCase
from tests.faults.corpus_manifests import MANIFESTS
from tests.faults.corpus_names import IDS, OUTPUTS
from tests.faults.corpus_recordings import RecordingCase
from tests.recordings import read_pcm
from tests.whole_runs import ledger_of, results, run_server


def snapshot(folder: Path, *, but: Path) -> dict[str, tuple[int, str]]:
    """Everything in a folder, except for one folder in it: kind and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path == but or but in path.parents:
            continue
        plain = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def test_the_corpus_is_as_large_as_promised() -> None:
    """There are at least 1,500 distinct cases, 500 were asked for."""
    sizes = {
        "manifests": len({(case.file, case.content) for case in MANIFESTS}),
        "ids": len({case.value for case in IDS}),
        "outputs": len({case.value for case in OUTPUTS}),
        "texts": len({*corpus_texts.SPOKEN, *corpus_texts.MARKS_ONLY}),
        "recordings": len({case.content for case in corpus_recordings.RECORDINGS}),
        "TTS messages": len({case.payload for case in corpus_messages.TTS}),
        "STT messages": len({case.payload for case in corpus_messages.STT}),
    }
    print(sizes, sum(sizes.values()))
    assert sum(sizes.values()) >= 1_500


# -- names ---------------------------------------------------------------------------------------


def judge_run(folder: Path, report: batchjobs.RunReport) -> None:
    """Count what a run has lost or left broken."""
    counted = report.summary
    answered = counted.done + counted.failed + counted.not_run
    broken = batchjobs.verify(folder).wrong
    lost = counted.rows - answered
    tally.count(runs=1, cases=counted.rows, lost=lost, corrupt=len(broken))


def rows_of(cases: tuple[NameCase, ...], column: str) -> list[dict[str, str]]:
    """A row for each name."""
    rows = []
    for number, case in enumerate(cases):
        row = {"id": f"o{number}", "text": f"صباح الخير يا جماعة {column} {number}"}
        rows.append(row | {column: case.value})
    return rows


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a JSON Lines manifest, its characters as they are."""
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A tone server in a process of its own, and its ledger."""
    folder = tmp_path_factory.mktemp("server")
    before = os.environ.get("BATCHJOBS_LOCAL_KEY")
    os.environ["BATCHJOBS_LOCAL_KEY"] = KEY
    try:
        with run_server(folder, "--engine", "tone", "--ledger", folder / "ledger") as base_url:
            yield base_url, folder / "ledger"
    finally:
        if before is None:
            del os.environ["BATCHJOBS_LOCAL_KEY"]
        else:
            os.environ["BATCHJOBS_LOCAL_KEY"] = before


def test_hostile_names_stay_in_the_run_folder(
    tmp_path: Path, tone_server: tuple[str, Path]
) -> None:
    """Every id and output is taken or refused as it must be; each has a file of its own, inside."""
    place = tmp_path / "place"
    folder = place / "run"
    (place / "outside").mkdir(parents=True)
    (place / "outside" / "mine.wav").write_bytes(b"mine")
    folder.mkdir()
    (folder / "escape").symlink_to("../outside")
    (folder / "elsewhere.wav").symlink_to("../outside/mine.wav")
    escapes = (
        NameCase(value="escape/new.wav", refused=("leaves",)),
        NameCase(value="escape/mine.wav", refused=("leaves",)),
        NameCase(value="elsewhere.wav", refused=("leaves",)),
    )
    cases = (*IDS, *OUTPUTS, *escapes)
    outputs = rows_of((*OUTPUTS, *escapes), "output")
    manifest = write_jsonl(place / "names.jsonl", rows_of(IDS, "id") + outputs)
    before = snapshot(place, but=folder)
    options = batchjobs.Options(
        base_url=tone_server[0], output=folder, skip_bad_rows=True, concurrency=8
    )
    report = batchjobs.run(manifest, options)
    assert report.exit_code == 1
    assert snapshot(place, but=folder) == before
    counted = report.summary
    refused = [case for case in cases if case.refused]
    judge_run(folder, report)
    assert counted.rows == len(cases)
    assert (counted.done, counted.failed) == (len(cases) - len(refused), len(refused))
    # Every refusal names its line and says why.
    failed = [json.loads(line) for line in (folder / "failed.jsonl").read_bytes().splitlines()]
    told = {failure["line"]: failure["error"]["message"] for failure in failed}
    for line, case in enumerate(cases, 1):
        missing = [words for words in case.refused if words not in told[line]]
        assert not missing, (case.value, told[line])
    # Every file is inside, plain, whole, nobody else's, even where upper and lower case are one.
    done = {int(str(line["line"])): line for line in results(folder)}
    assert len(done) == len(cases) - len(refused)
    seen: Counter[str] = Counter()
    heard = ToneRecogniser()
    for line, result in done.items():
        output = str(result["output"])
        path = path_inside(folder, output)
        assert path.parent == folder.resolve() / Path(output).parent
        seen[output.casefold()] += 1
        if path.suffix.lower() == ".wav":
            pcm = read_pcm(path)
            assert heard.start().accept(pcm, 24_000) == result["text"], output
        if line > len(IDS):
            assert output == cases[line - 1].value
    assert set(seen.values()) == {1}
    assert batchjobs.verify(folder) == batchjobs.VerifyReport(checked=len(done))
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]


def test_file_names_of_ids_are_short_distinct_and_plain() -> None:
    """No id's file name has a separator, a device's name or a length that some system refuses."""
    taken = [case.value for case in IDS if not case.refused]
    stems = [text.file_stem(value) for value in taken]
    assert len(set(stems)) == len(taken)
    for stem in stems:
        assert 0 < len(stem.encode()) <= 100
        assert not {*'/\\:*?"<>|\0'} & {*stem}
        assert stem[0] not in ".- "
        assert stem[-1] not in ". "
        assert stem.isprintable() or any(not c.isascii() for c in stem)


# -- texts ---------------------------------------------------------------------------------------


def test_texts_are_sent_and_come_back_byte_for_byte(
    tmp_path: Path, tone_server: tuple[str, Path]
) -> None:
    """All texts in one run, spoken and then transcribed: the service got them, and we theirs.

    But for white space at the ends of a transcript, which live answers begin with.
    """
    base_url, ledger = tone_server
    known = len(ledger_of(ledger)) if ledger.exists() else 0
    spoken = list(corpus_texts.SPOKEN)
    rows = [{"id": f"t{n}", "text": words} for n, words in enumerate(spoken)]
    rows += [{"id": f"b{n}", "text": words} for n, words in enumerate(corpus_texts.MARKS_ONLY)]
    manifest = write_jsonl(tmp_path / "texts.jsonl", rows)
    options = batchjobs.Options(
        base_url=base_url, output=tmp_path / "spoken", skip_bad_rows=True, concurrency=16
    )
    report = batchjobs.run(manifest, options)
    judge_run(tmp_path / "spoken", report)
    failures = (tmp_path / "spoken" / "failed.jsonl").read_bytes().splitlines()
    failed = {line["id"]: line["error"] for line in map(json.loads, failures)}
    assert {name for name in failed if name[0] == "t"} == set(), failed
    assert report.summary.failed == len(corpus_texts.MARKS_ONLY)
    assert all("nothing to speak" in error["message"] for error in failed.values())
    sent = Counter(
        str(line["text_sha256"]) for line in ledger_of(ledger)[known:] if line["event"] == "end"
    )
    assert sent == Counter(hashlib.sha256(words.encode()).hexdigest() for words in spoken)
    told = {str(line["id"]): line for line in results(tmp_path / "spoken")}
    assert {name: line["text"] for name, line in told.items()} == {
        row["id"]: row["text"] for row in rows if row["id"][0] == "t"
    }
    recordings = [{"id": name, "audio": f"spoken/{line['output']}"} for name, line in told.items()]
    again = write_jsonl(tmp_path / "heard.jsonl", recordings)
    report = batchjobs.run(again, replace(options, output=tmp_path / "heard"))
    assert report.exit_code == 0
    transcripts = {str(line["id"]): line["transcript"] for line in results(tmp_path / "heard")}
    assert transcripts == {f"t{n}": words.strip() for n, words in enumerate(spoken)}
    for n, words in enumerate(spoken):
        written = (tmp_path / "heard" / "transcripts" / f"t{n}.txt").read_bytes()
        assert written == words.strip().encode()


# -- recordings ----------------------------------------------------------------------------------


def heard_of(case: RecordingCase, path: Path) -> str:
    """Compare what is read of a recording with its verdict; say what differs."""
    path.write_bytes(case.content)
    is_probed = False
    try:
        found = decoding.probe(path)
        is_probed = True
        pcm = b"".join(decoding.pcm_chunks(path, sample_rate=16_000, chunk_seconds=0.05))
    except RecordingError as error:
        if case.frames:
            return f"refused: {error}"
        if is_probed and not case.late:
            return f"refused only while being read: {error}"
        return "" if case.words in str(error) else f"{case.words!r} not in: {error}"
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"
    if not case.frames:
        return f"not refused: {found}, {len(pcm)} bytes"
    expected = round(case.frames * 16_000 / case.rate)
    if (found.frames, found.sample_rate) != (case.frames, case.rate):
        return f"{found.frames} frames at {found.sample_rate} Hz"
    if abs(len(pcm) // 2 - expected) > 1:
        return f"{len(pcm) // 2} frames sent, not {expected}"
    return "other samples" if case.pcm and pcm != case.pcm else ""


def test_every_hostile_recording_gets_its_verdict(tmp_path: Path) -> None:
    """It is read to exactly its samples or refused with its reason; no decoder crashes on it."""
    wrong = {
        case.name: verdict
        for case in corpus_recordings.RECORDINGS
        if (verdict := heard_of(case, tmp_path / "recording.wav"))
    }
    assert not wrong, json.dumps(wrong, indent=1)[:5_000]


def test_a_manifest_of_hostile_recordings_loses_no_row(
    tmp_path: Path, tone_server: tuple[str, Path]
) -> None:
    """One run over all of them: each is transcribed or fails by its reason, and they add up."""
    cases = corpus_recordings.RECORDINGS
    rows = []
    for number, case in enumerate(cases):
        (tmp_path / f"{number}.bin").write_bytes(case.content)
        rows.append({"id": f"r{number}", "audio": f"{number}.bin"})
    before = snapshot(tmp_path, but=tmp_path / "run")
    manifest = write_jsonl(tmp_path / "recordings.jsonl", rows)
    options = batchjobs.Options(
        base_url=tone_server[0], output=tmp_path / "run", skip_bad_rows=True, concurrency=16
    )
    report = batchjobs.run(manifest, options)
    counted = report.summary
    judge_run(tmp_path / "run", report)
    good = [f"r{number}" for number, case in enumerate(cases) if case.frames]
    assert counted.rows == len(cases)
    assert sorted(str(line["id"]) for line in results(tmp_path / "run")) == sorted(good)
    assert (counted.done, counted.failed) == (len(good), len(cases) - len(good))
    manifest.unlink()
    assert snapshot(tmp_path, but=tmp_path / "run") == before


# -- the corpus itself can fail ------------------------------------------------------------------


def test_texts_that_are_normalised_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is sent in NFC is not the text that was given, and the corpus tells."""
    heard = ToneRecogniser()
    engine = ToneSynthesiser()
    settings = make_speech()

    def differing() -> list[str]:
        found = []
        for words in corpus_texts.SPOKEN[60:]:
            sent = "".join(text.split_messages(words))
            pcm = b"".join(engine.synthesise(sent, settings))
            if heard.start().accept(pcm, 24_000) != words:
                found.append(words)
        return found

    assert not differing()
    whole = text.split_messages
    monkeypatch.setattr(text, "split_messages", lambda t: whole(unicodedata.normalize("NFC", t)))
    assert len(differing()) > 5
