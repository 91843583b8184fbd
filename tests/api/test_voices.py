"""Voices are listed where they can be known, and refused only where they are known not to be."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import batchjobs
from batchjobs.api.voices import find_stand_ins, list_voices
from batchjobs.errors import (
    ConfigurationError,
    KeyRefusedError,
    ServiceUnavailableError,
    UsageError,
)
from batchjobs.providers import BUILT_IN
from tests.whole_runs import batchjobs as command
from tests.whole_runs import write_manifest

KEY = "geheim-12345"
LISTED = [{"voice_id": "ar-emirati-male-1", "name": "سالم", "gender": "male", "dialect": "emirati"}]


class _Voices(BaseHTTPRequestHandler):
    """The list of voices, for those who have the key."""

    def do_GET(self) -> None:
        """Answer as the services do."""
        is_known = self.headers["x-api-key"] == KEY
        status = (200 if is_known else 401) if self.path == "/api/v1/voices" else 404
        body = json.dumps(LISTED if status == 200 else {"errorMessage": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A service on this machine that has a list of voices."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Voices) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.server_address[1]}/api/v1"
        server.shutdown()
        thread.join()


def test_a_service_is_asked_for_its_voices(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key of the environment; a wrong one is refused."""
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    (voice,) = list_voices("munsit", base_url=service)
    assert (voice.id, voice.name, voice.language) == ("ar-emirati-male-1", "سالم", "emirati")
    monkeypatch.setenv("MUNSIT_API_KEY", "wrong-key-1")
    with pytest.raises(KeyRefusedError, match=r"cannot be known here: .* HTTP 401"):
        list_voices("munsit", base_url=service)


def test_what_cannot_be_asked_is_not_known(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No key, no list at this address, no list by the settings, nobody there, nothing that speaks."""
    monkeypatch.delenv("MUNSIT_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be known here: no key"):
        list_voices("munsit", base_url=service)
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    for url in (f"{service}/elsewhere", "ws://127.0.0.1:1/api/v1"):
        with pytest.raises(ServiceUnavailableError, match="cannot be known here"):
            list_voices("munsit", base_url=url)
    Path("batchjobs.toml").write_text(
        f'[providers.munsit]\nbase_url = "{service}"\nvoices_path = ""\n'
        '[providers.ears]\nlike = "munsit"\ntts_path = ""\n'
    )
    with pytest.raises(ServiceUnavailableError, match="no list of its voices"):
        list_voices("munsit")
    with pytest.raises(ConfigurationError, match="offers no text to speech"):
        list_voices("ears")


def test_the_command_lists_them(service: str, tmp_path: Path) -> None:
    """A line each, or JSON; the key is on no stream."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    words = ("providers", "--voices", "munsit", "--base-url", service, "--key-file", "key")
    told = command(*words, cwd=tmp_path)
    assert told.stdout == "ar-emirati-male-1  سالم, male, emirati\n"
    assert json.loads(command(*words, "--json", cwd=tmp_path).stdout)[0]["name"] == "سالم"
    local = command("providers", "--voices", "local", cwd=tmp_path).stdout.splitlines()
    assert len(local) == 25
    assert local[0].split() == [BUILT_IN["local"].voice, "the", "default"]
    assert KEY not in told.stdout + told.stderr
    told = command("providers", "--voices", "nobody", cwd=tmp_path, expect=78)
    assert "there are faseeh, local, munsit" in told.stderr


def test_a_voice_that_local_does_not_have_is_refused(tmp_path: Path) -> None:
    """Before anything is made, with names like it; one that a row names is spoken for, and told."""
    write_manifest(tmp_path / "m.csv", [{"id": "a", "text": "مَرْحَبًا ـــ ١٢٣"}])
    for name in ("plan", "run"):
        told = command(name, "m.csv", "--voice", "ar-najdi-mael-2", cwd=tmp_path, expect=2)
        assert "'ar-najdi-mael-2' is no voice that local has" in told.stderr
        assert "did you mean ar-najdi-male-2" in told.stderr
    assert not (tmp_path / "outputs" / "m").exists()
    command("run", "m.csv", "--voice", "nobody", "--engine", "tone", "-q", cwd=tmp_path)
    write_manifest(tmp_path / "r.csv", [{"id": "a", "text": "نَصّ", "voice_id": "سارة"}])
    told = command("plan", "r.csv", cwd=tmp_path)
    assert "voices that the local server does not have" in told.stdout
    assert "سارة" in told.stdout
    (tmp_path / "batchjobs.toml").write_text('[run]\nvoice = "hosted"\n')
    told = command("plan", "m.csv", cwd=tmp_path)
    assert "others speak for them: hosted (" in told.stdout


def test_a_hosted_voice_is_not_judged_by_the_local_list(tmp_path: Path) -> None:
    """Neither as the run's default nor where only a row goes to the service, nor at another address."""
    speech = batchjobs.Defaults(voice_id="سارة")
    row = {"id": "a", "text": "نَصّ"}
    output = tmp_path / "run"
    hosted = batchjobs.Options(provider="munsit", speech=speech, output=output)
    assert batchjobs.plan([row], hosted).rows == 1
    mixed = batchjobs.Options(speech=speech, output=output)
    assert batchjobs.plan([row | {"provider": "munsit"}], mixed).rows == 1
    far = batchjobs.Options(speech=speech, output=output, base_url="ws://127.0.0.1:9/api/v1")
    assert [use.voice for use in find_stand_ins(batchjobs.plan([row], far))] == ["سارة"]
    with pytest.raises(UsageError, match="is no voice that local has"):
        batchjobs.plan([row], mixed)


def test_what_a_service_was_not_asked_is_said(tmp_path: Path) -> None:
    """A plan cannot know, and says who does."""
    write_manifest(tmp_path / "m.csv", [{"id": "a", "text": "نَصّ"}])
    told = command("plan", "m.csv", "-p", "munsit", "--voice", "nobody", cwd=tmp_path).stdout
    assert "not asked here whether it has them: 'batchjobs providers --voices munsit' does" in told
