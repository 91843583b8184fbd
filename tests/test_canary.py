"""The search for the key of the tests: it finds what is planted, and says where."""

import base64
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canary import KEY, key_with, leaks_below, place_in
from tests.clocks import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
SPECIAL = key_with("+/=&% é")

FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "in capitals": lambda key: key.upper().encode(),
    "percent-encoded": lambda key: quote(key, safe="").encode(),
    "all percent-encoded": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()).encode(),
    "escaped as JSON": lambda key: "".join(f"\\u{ord(c):04x}" for c in key).encode(),
    "UTF-16": lambda key: key.encode("utf-16-le"),
    "hexadecimal": lambda key: key.encode().hex().encode(),
    "numbers": lambda key: repr(list(key.encode())).encode(),
    "base64": lambda key: base64.b64encode(key.encode()),
    "base64 after one": lambda key: base64.b64encode(b":" + key.encode()),
    "base64 after two": lambda key: base64.b64encode(b"u:" + key.encode()),
    "its beginning": lambda key: key[:9].encode() + "…".encode(),
    "its end": lambda key: b"..." + key[-8:].encode(),
    "compressed": lambda key: gzip.compress(key.encode()),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("key", [KEY, SPECIAL], ids=["usual", "special"])
def test_the_key_is_found_in_every_form(name: str, key: str, tmp_path: Path) -> None:
    """Encoded, escaped, cut off or compressed, anywhere in a file, it is found."""
    file = tmp_path / "any"
    file.write_bytes(b"\0" * 999 + FORMS[name](key) if name != "compressed" else FORMS[name](key))
    found = leaks_below(tmp_path)
    file.unlink()  # or else the session's own search finds it
    assert len(found) == 1
    assert str(file) in found[0]


def test_what_is_no_key_is_not_found(tmp_path: Path) -> None:
    """Less than eight characters of it, or others, are nothing; a key file may hold it."""
    assert not place_in(f"{KEY[:7]} {KEY[-7:]} {os.urandom(99_999).hex()}")
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    assert not leaks_below(tmp_path)
    other = tmp_path / "note"
    other.write_text(f"{KEY} {'and more ' * 20}", encoding="utf-8")
    found = leaks_below(tmp_path)
    other.unlink()
    assert len(found) == 1


INNER = """
import logging, subprocess, sys, tempfile
from pathlib import Path
from tests.canary import KEY

def test_clean(tmp_path, capsys):
    (tmp_path / "key").write_text(KEY)
    print("nothing")
    assert capsys.readouterr().out

def test_file(tmp_path):
    (tmp_path / "planted.log").write_text(f"GET /?x-api-key={KEY} HTTP/1.1" * 9)

def test_name(tmp_path):
    (tmp_path / f"named {KEY}").touch()

def test_printed():
    print(f"the key is {KEY}")

def test_logged():
    logging.getLogger("some").warning("the key is %s", KEY[:8])

def test_debugged():
    logging.getLogger("some").debug("the key is %s", KEY)

def test_child():
    subprocess.run([sys.executable, "-c", f"print('{KEY}')"], capture_output=True)

def test_child_unheard():
    subprocess.run([sys.executable, "-c", f"print('{KEY}')"])

def test_taken(capsys):
    print(KEY)
    capsys.readouterr()

def test_removed():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "gone").write_text(KEY * 9)
"""
CONFTEST = """
from tests.watch import Watch

def pytest_configure(config):
    config.pluginmanager.register(Watch(config), "watch")
"""
BLAMED = ("test_child", "test_taken", "test_removed")
SEEN = (
    *("planted.log", "named inner", "test_printed", "test_logged", "test_debugged"),
    "test_child_unheard",
)


@pytest.mark.unmeasured
@pytest.mark.parametrize("processes", [0, 2])
def test_a_planted_leak_fails_the_session(processes: int, tmp_path: Path) -> None:
    """In a file, a name, a stream, a log, a child or a folder that is gone; also in two workers."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_inner.py").write_text(INNER, encoding="utf-8")

    def session(*more: str) -> tuple[int, str]:
        words = [sys.executable, "-m", "pytest", "-q", "-n", str(processes), "--log-level=DEBUG"]
        ended = subprocess.run(
            [*words, "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}", *more],
            cwd=tmp_path,
            env=os.environ | {"TEST_KEY_ENDS": "inner77e6b1 a9f04kinner", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return ended.returncode, ended.stdout

    code, shown = session("-k", "clean")
    assert code == 0, shown
    code, shown = session()
    assert code == 1
    assert f"{len(BLAMED)} failed" in shown
    told = shown.partition("the key of the tests was found")[2]
    assert not [name for name in BLAMED if f"FAILED test_inner.py::{name}" not in shown]
    assert not [name for name in SEEN if name not in told], told
    code, shown = session("-k", "file")
    assert code == 1
    assert "1 passed" in shown
