"""The configuration file and the keys: what is read, what is refused, and what is never shown."""

import os
import threading
from pathlib import Path

import pytest

from batchjobs.config import FILE_NAME, Configuration, load, read_key
from batchjobs.errors import ConfigurationError
from batchjobs.providers import BUILT_IN
from tests.canary import KEY

_MUNSIT = BUILT_IN["munsit"]


def _file(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path


# -- the file ----------------------------------------------------------------------------------


def test_without_a_file_everything_is_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file in the current folder is no mistake."""
    monkeypatch.chdir(tmp_path)
    found = load()
    assert found == Configuration()
    assert found.path is None
    assert found.providers == BUILT_IN
    assert found.defaults == {}


def test_the_file_in_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the usual name is found, and one that is named goes before it."""
    _file(tmp_path, "[run]\nconcurrency = 3\n")
    other = tmp_path / "other.toml"
    other.write_text("[run]\nconcurrency = 4\n")
    monkeypatch.chdir(tmp_path)
    assert load().defaults == {"run": {"concurrency": 3}}
    assert load().path == Path(FILE_NAME)
    assert load(other).defaults == {"run": {"concurrency": 4}}


def test_tables_give_defaults_and_providers(tmp_path: Path) -> None:
    """Options may be written with hyphens; what the file changes of a provider is known by name."""
    path = _file(
        tmp_path,
        """
        [run]
        retry-failed = true
        voice = "صَوْت"
        [serve]
        port = 0
        [providers.munsit]
        concurrency = 9
        [providers.mine]
        like = "faseeh"
        voice = "نجدي"
        """,
    )
    found = load(path)
    assert found.path == path
    assert found.defaults == {"run": {"retry_failed": True, "voice": "صَوْت"}, "serve": {"port": 0}}
    assert found.providers["munsit"].concurrency == 9
    assert found.providers["munsit"].base_url == _MUNSIT.base_url
    assert found.providers["mine"].voice == "نجدي"
    assert found.providers["mine"].key_variable == BUILT_IN["faseeh"].key_variable
    assert found.providers["faseeh"] == BUILT_IN["faseeh"]
    assert found.changed == {"munsit": frozenset({"concurrency"}), "mine": frozenset({"voice"})}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[runs]\nx = 1\n", "unknown table 'runs'", "[run]"),
        ("concurrency = 4\n", "unknown table 'concurrency'", "[run]"),
        ("run = 4\n", "'run' is not a table", "[run]"),
        ("providers = 4\n", "'providers' is not a table", "[providers]"),
        ("[providers]\nmunsit = 4\n", "[providers.munsit] is not a table", ""),
        ("[providers.munsit]\nconcurency = 4\n", "'concurency'", "did you mean 'concurrency'?"),
        ("[run\n", "is not TOML", ""),
        ("[run]\nx = 1\n[run]\n", "is not TOML", ""),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, text: str, message: str, hint: str) -> None:
    """The file, what is wrong in it, and what to write instead."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 78


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8: a sentence with the file's name."""
    (tmp_path / "latin.toml").write_bytes(b"[run]\nvoice = '\xe9'\n")
    for name, message in (
        ("none.toml", "No such file"),
        (".", "Is a directory"),
        ("latin.toml", "is not TOML"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            load(tmp_path / name)


# -- keys --------------------------------------------------------------------------------------


def test_a_key_comes_from_the_providers_own_variable() -> None:
    """Its variable is looked at, and no other; none is an empty key."""
    environment = {"MUNSIT_API_KEY": f" {KEY}\n", "FASEEH_API_KEY": "other"}
    assert read_key(_MUNSIT, key_file=None, environment=environment) == KEY
    assert read_key(BUILT_IN["faseeh"], key_file=None, environment=environment) == "other"
    assert read_key(_MUNSIT, key_file=None, environment={"FASEEH_API_KEY": "x"}) == ""
    assert read_key(_MUNSIT, key_file=None, environment={"MUNSIT_API_KEY": " "}) == ""


def _key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n\n"])
def test_a_key_file_of_ones_own_goes_before_the_environment(
    tmp_path: Path, mode: int, ending: str
) -> None:
    """Readable by its owner only, with or without a line end, it is the key."""
    path = _key_file(tmp_path, f"{KEY}{ending}".encode(), mode)
    environment = {"MUNSIT_API_KEY": "another"}
    assert read_key(_MUNSIT, key_file=path, environment=environment) == KEY


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610, 0o602])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right of the group's or the others' is too much; the hint says how to mend it."""
    path = _key_file(tmp_path, KEY.encode(), mode)
    with pytest.raises(ConfigurationError, match="others may read") as caught:
        read_key(_MUNSIT, key_file=path, environment={})
    assert caught.value.hint == f"chmod 600 {path}"
    assert KEY not in str(caught.value)


def test_a_credential_of_systemd_is_taken(tmp_path: Path) -> None:
    """Its access list shows as the group's right to read; there alone, and no more than that."""
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path = _key_file(tmp_path, KEY.encode(), 0o440)
    assert read_key(_MUNSIT, key_file=path, environment=environment) == KEY
    for mode, folder in ((0o444, tmp_path), (0o460, tmp_path), (0o440, tmp_path / "elsewhere")):
        folder.mkdir(exist_ok=True)
        other = folder / "other"
        other.write_text(KEY)
        other.chmod(mode)
        with pytest.raises(ConfigurationError, match="others may read"):
            read_key(_MUNSIT, key_file=other, environment=environment)
        other.unlink()


def test_a_link_is_judged_by_the_file_it_leads_to(tmp_path: Path) -> None:
    """The rights that count are those of what is read."""
    path = _key_file(tmp_path, KEY.encode(), 0o644)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigurationError, match="others may read"):
        read_key(_MUNSIT, key_file=tmp_path / "link", environment={})


def test_a_pipe_may_give_the_key(tmp_path: Path) -> None:
    """A shell's ``<(pass show munsit)`` has no rights to look at."""
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o644)
    writer = threading.Thread(target=path.write_text, args=(f"{KEY}\n",))
    writer.start()
    assert read_key(_MUNSIT, key_file=path, environment={}) == KEY
    writer.join()


@pytest.mark.parametrize(
    "content",
    [
        f"{KEY}é".encode(),
        f"{KEY}ـ".encode(),
        f"{KEY} x".encode(),
        f"{KEY}\nx".encode(),
        f"{KEY}\tx".encode(),
        f"{KEY}\x7f".encode(),
        f"{KEY}\u200f".encode(),
        f"\ufeff{KEY}".encode(),
    ],
)
def test_what_no_key_has_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """Letters of other scripts, blanks within, marks one cannot see: the key is not in the message."""
    path = _key_file(tmp_path, content)
    for key_file, environment in ((path, {}), (None, {"MUNSIT_API_KEY": content.decode()})):
        with pytest.raises(ConfigurationError, match="characters that no key has") as caught:
            read_key(_MUNSIT, key_file=key_file, environment=environment)
        assert KEY not in repr(caught.value)
        assert KEY not in caught.value.hint
        assert str(key_file or "MUNSIT_API_KEY") in caught.value.message


def test_a_file_that_is_no_text_is_refused_and_not_shown(tmp_path: Path) -> None:
    """Neither the message nor what caused it holds a byte of the file."""
    path = _key_file(tmp_path, f"{KEY}\n".encode("utf-16"))
    with pytest.raises(ConfigurationError, match="holds no text") as caught:
        read_key(_MUNSIT, key_file=path, environment={})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t"])
def test_an_empty_key_file_is_told(tmp_path: Path, content: bytes) -> None:
    """An empty file is a mistake, and not the absence of a key."""
    with pytest.raises(ConfigurationError, match="is empty"):
        read_key(_MUNSIT, key_file=_key_file(tmp_path, content), environment={})


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, or a folder: a sentence with its name."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot read the key file"):
            read_key(_MUNSIT, key_file=path, environment={})
