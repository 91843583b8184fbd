"""Every manifest of the corpus gets its verdict, and readers that are too lenient are caught."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import inputs, read_rows
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN
from tests import tally
from tests.faults.corpus import ManifestCase, prepare
from tests.faults.corpus_manifests import MANIFESTS


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and traps that the manifests name."""
    folder = tmp_path_factory.mktemp("manifests") / "in"
    folder.mkdir()
    prepare(folder)
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
    wrong = {case.name: verdict for case in MANIFESTS if (verdict := judged(case, trapped))}
    tally.count(cases=len(MANIFESTS))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]


def module(name: str) -> ModuleType:
    """A module of the manifest package, whose name there is its function's."""
    return importlib.import_module(f"batchjobs.manifest.{name}")


def manifests_wrong(trapped: Path) -> list[str]:
    """The manifests (all but the largest) that do not get their verdicts."""
    cases = (case for case in MANIFESTS if len(case.content) < 100_000)
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
    monkeypatch.setattr(inputs, "path_inside", lambda root, relative: root / relative)
    # Not those that name a FIFO or a device: who opens these waits for ever.
    cases = [case for case in MANIFESTS if "../.." in case.name or "up/" in case.name]
    assert cases
    assert all(judged(case, trapped) for case in cases if "'../.." in case.name)
