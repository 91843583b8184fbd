"""The corpus of bad input, case by case and in whole runs: no crash, no row lost, no stray file."""

import hashlib
import importlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import trio

import batchjobs
from batchjobs import text
from batchjobs.audio import decoding
from batchjobs.errors import ManifestError, RecordingError, SessionError
from batchjobs.files.paths import path_inside
from batchjobs.jobs import BadRow, Job, Kind, Segment, Status
from batchjobs.manifest import read_rows, rules
from batchjobs.options import Defaults
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.protocol.parsing import parse_stt_reply, parse_tts_reply
from batchjobs.providers import BUILT_IN
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from batchjobs.session import Endpoint, SttSession, TtsSession
from tests import tally
from tests.builders import (
    LenientJudge,
    audio_message,
    make_endpoint,
    make_speech,
    make_tone,
    transcript_message,
)
from tests.canary import KEY
from tests.faults import corpus, corpus_messages, corpus_recordings, corpus_texts
from tests.faults.corpus import ManifestCase, NameCase
from tests.faults.corpus_messages import MessageCase
from tests.faults.corpus_recordings import RecordingCase
from tests.recordings import read_pcm
from tests.streams import Peer, Service, Talk
from tests.whole_runs import ledger_of, results, served


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
        "manifests": len({(case.file, case.content) for case in corpus.MANIFESTS}),
        "ids": len({case.value for case in corpus.IDS}),
        "outputs": len({case.value for case in corpus.OUTPUTS}),
        "texts": len({*corpus_texts.SPOKEN, *corpus_texts.MARKS_ONLY}),
        "recordings": len({case.content for case in corpus_recordings.RECORDINGS}),
        "TTS messages": len({case.payload for case in corpus_messages.TTS}),
        "STT messages": len({case.payload for case in corpus_messages.STT}),
    }
    print(sizes, sum(sizes.values()))
    assert sum(sizes.values()) >= 1_500


# -- manifests -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and traps that the manifests name."""
    folder = tmp_path_factory.mktemp("manifests") / "in"
    folder.mkdir()
    corpus.prepare(folder)
    return folder


def judged(case: ManifestCase, folder: Path) -> str:
    """Compare what becomes of a manifest with its verdict; say what differs."""
    path = folder / case.file
    path.write_bytes(case.content)
    try:
        rows = list(
            read_rows(path, name=case.file, folder=folder, providers=BUILT_IN, defaults=Defaults())
        )
    except ManifestError as error:
        if not case.refused:
            return f"refused: {error}"
        missing = [words for words in case.refused if words not in str(error)]
        return f"{missing} not in: {error}" if missing else ""
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"
    finally:
        path.unlink()
    if case.refused:
        return f"not refused: {len(rows)} rows"
    good = sum(isinstance(row, Job) for row in rows)
    bad = [row for row in rows if isinstance(row, BadRow)]
    shown = [row.describe(case.file) for row in bad]
    if (good, len(bad)) != (case.good, len(case.bad)):
        return f"{good} jobs and {len(bad)} bad rows: {shown}"
    for row, line, verdict in zip(bad, shown, case.bad, strict=True):
        if row.line != verdict.line or not all(words in line for words in verdict.words):
            return f"not line {verdict.line}, {verdict.words}: {line}"
    return ""


def test_every_hostile_manifest_gets_its_verdict(trapped: Path) -> None:
    """Each row is a job or named with its line and column; rows = jobs + bad rows; no crash."""
    wrong = {case.name: verdict for case in corpus.MANIFESTS if (verdict := judged(case, trapped))}
    tally.count(cases=len(corpus.MANIFESTS))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]


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
        with served(folder, "--engine", "tone", "--ledger", folder / "ledger") as base_url:
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
    cases = (*corpus.IDS, *corpus.OUTPUTS, *escapes)
    outputs = rows_of((*corpus.OUTPUTS, *escapes), "output")
    manifest = write_jsonl(place / "names.jsonl", rows_of(corpus.IDS, "id") + outputs)
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
        if line > len(corpus.IDS):
            assert output == cases[line - 1].value
    assert set(seen.values()) == {1}
    assert batchjobs.verify(folder) == batchjobs.VerifyReport(checked=len(done))
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]


def test_file_names_of_ids_are_short_distinct_and_plain() -> None:
    """No id's file name has a separator, a device's name or a length that some system refuses."""
    taken = [case.value for case in corpus.IDS if not case.refused]
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


# -- server messages -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["tts", "stt"])
def test_every_hostile_message_is_read_as_it_must_be(protocol: str) -> None:
    """The parser gives the message's one meaning, or refuses it as garbage; nothing else."""
    parse = parse_tts_reply if protocol == "tts" else parse_stt_reply
    cases = corpus_messages.TTS if protocol == "tts" else corpus_messages.STT
    wrong = {}
    for case in cases:
        try:
            found = type(parse(case.payload)).__name__
        except InvalidMessageError:
            found = "garbage"
        except BaseException as error:
            found = f"CRASH {type(error).__name__}: {error}"
        if found != case.parsed:
            wrong[str(case.payload)[:200]] = f"{found}, not {case.parsed}"
    tally.count(cases=len(cases))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]


HONEST = make_tone(0.2)


async def speech_of(case: MessageCase, dialled: "Dialled") -> str:
    """Run a synthesis whose service says this in between; give its end."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(case.payload)
        await peer.send(audio_message(HONEST))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    segment = Segment(key="k", kind=Kind.TTS, speech=make_speech())
    endpoint = dialled.link(talk)
    session = TtsSession(endpoint, segment, texts=["نص", " آخر"], judge=LenientJudge())
    result = await session.run()
    if result.doubts:
        return str(Status.SUSPECT)
    return (
        "done" if bytes(result.pcm) == case.adds + HONEST else f"done with {len(result.pcm)} bytes"
    )


async def transcript_of(case: MessageCase, dialled: "Dialled") -> str:
    """Run a transcription whose service says this in between; give its end."""

    async def talk(peer: Peer) -> None:
        await peer.get()
        await peer.send(case.payload)
        await peer.send(transcript_message("النص الأخير"))
        await trio.sleep_forever()

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield bytes(32_000)

    result = await SttSession(dialled.link(talk), chunks=chunks()).run()
    return "done" if result.text == "النص الأخير" else f"done with {result.text!r}"


class Dialled:
    """Makes endpoints of scripted services."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def link(self, talk: Talk) -> Endpoint:
        """Give the way to a service that talks so."""
        service = Service(self._nursery, talk=talk)
        return make_endpoint(service.dial)


@pytest.mark.parametrize("protocol", ["tts", "stt"])
async def test_every_hostile_message_ends_a_session_as_it_must(
    protocol: str, autojump_clock: object
) -> None:
    """A whole session over a WebSocket: done with exactly what was sent, or failed by its class."""
    cases = corpus_messages.TTS if protocol == "tts" else corpus_messages.STT
    converse = speech_of if protocol == "tts" else transcript_of
    wrong = {}
    for case in cases:
        code = case.code
        async with trio.open_nursery() as nursery:
            try:
                found = await converse(case, Dialled(nursery))
            except SessionError as error:
                found = error.label
                code = error.code
            except BaseException as error:
                found = f"CRASH {type(error).__name__}: {error}"
            nursery.cancel_scope.cancel()
        if found != case.ends or (case.code and code != case.code):
            wrong[str(case.payload)[:200]] = f"{found} {code}, not {case.ends} {case.code}"
    tally.count(cases=len(cases))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]


# -- the corpus itself can fail ------------------------------------------------------------------


def module(name: str) -> ModuleType:
    """A module of the manifest package, whose name there is its function's."""
    return importlib.import_module(f"batchjobs.manifest.{name}")


def manifests_wrong(trapped: Path) -> list[str]:
    """The manifests (all but the largest) that do not get their verdicts."""
    cases = (case for case in corpus.MANIFESTS if len(case.content) < 100_000)
    return [case.name for case in cases if judged(case, trapped)]


def lenient_object(text: str) -> dict[str, object]:
    """Read a line as plain `json` does."""
    return dict(json.loads(text))


def test_a_reader_that_lets_quotes_swallow_rows_is_caught(
    trapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look at what a quoted field holds, stray quotes lose rows, and it is seen."""
    monkeypatch.setattr(module("csv_rows"), "refuse_swallowed_rows", lambda *_: None)
    wrong = manifests_wrong(trapped)
    assert wrong
    assert all("quote" in name for name in wrong)


def test_a_reader_of_lenient_json_is_caught(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicate keys, NaN and lone surrogates let through are seen."""
    monkeypatch.setattr(module("jsonl_rows"), "_parse_object", lenient_object)
    wrong = manifests_wrong(trapped)
    assert {"a key twice", "NaN", "a lone surrogate"} <= {*wrong}


def test_paths_that_are_not_followed_are_caught(
    trapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs that are joined to their folder without a look at where that leads are seen."""
    monkeypatch.setattr(rules, "path_inside", lambda root, relative: root / relative)
    # Not those that name a FIFO or a device: who opens these waits for ever.
    cases = [case for case in corpus.MANIFESTS if "../.." in case.name or "up/" in case.name]
    assert cases
    assert all(judged(case, trapped) for case in cases if "'../.." in case.name)


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
