"""What was paid for under one name is not replaced by a mistake in another."""

from pathlib import Path
from typing import NoReturn

import pytest
import trio

import batchjobs
from batchjobs.api import endpoints
from batchjobs.server.child import local_server
from batchjobs.server.settings import ServerSettings
from tests.api.manifests import MANIFEST


def _configure_paid(folder: Path, server: str) -> None:
    """Configure a provider that is no local one, and costs."""
    (folder / "batchjobs.toml").write_text(
        f'[providers.paid]\nlike = "local"\nengine = ""\nbase_url = "{server}"\n'
        'key_variable = "PAID_KEY"\ntts_price_per_million_characters = 10.0\n',
        encoding="utf-8",
    )


def test_what_was_paid_for_is_not_replaced_by_forgetting_the_provider(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default provider takes no other's place, unless a row names it or the file is gone."""
    audio = tmp_path / "outputs" / "three" / "audio"

    async def bought() -> int:
        server = ServerSettings(engine="tone")
        async with local_server(server) as base_url:
            _configure_paid(tmp_path, base_url)
            monkeypatch.setenv("PAID_KEY", server.token)
            options = batchjobs.Options(provider="paid")
            return (await batchjobs.run_async(manifest, options)).exit_code

    assert trio.run(bought) == 0
    before = {path.name: path.read_bytes() for path in audio.iterdir()}
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.UsageError, match="3 finished results") as caught:
            attempt(manifest, batchjobs.Options(engine="tone"))
        assert "--provider paid" in caught.value.hint
    assert {path.name: path.read_bytes() for path in audio.iterdir()} == before
    rows = MANIFEST.replace("\n", ",local\n").replace("text,local", "text,provider")
    manifest.write_text(rows, encoding="utf-8")
    named = batchjobs.plan(manifest, batchjobs.Options(engine="tone"))
    assert named.to_buy.rows == 3
    manifest.write_text(MANIFEST, encoding="utf-8")
    for path in audio.iterdir():
        path.unlink()
    assert batchjobs.run(manifest, batchjobs.Options(engine="tone")).exit_code == 0


def test_two_manifests_of_one_name_do_not_share_a_folder_by_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second would overwrite the first's files; asked for, or equal, it may go on."""
    monkeypatch.chdir(tmp_path)
    first, second = (tmp_path / name / "talks.csv" for name in "AB")
    for path, text in ((first, "واحد واثنان وثلاثة"), (second, "three and two and one")):
        path.parent.mkdir()
        path.write_text(f"id,text\n1,{text}\n", encoding="utf-8")
    options = batchjobs.Options(engine="tone")
    folder = batchjobs.run(first, options).folder
    before = (folder / "audio" / "1.wav").read_bytes()
    with pytest.raises(batchjobs.errors.UsageError, match="another manifest") as caught:
        batchjobs.run(second, options)
    assert "--output" in caught.value.hint
    assert (folder / "audio" / "1.wav").read_bytes() == before
    other = tmp_path / "C" / "talks.csv"
    other.parent.mkdir()
    other.write_bytes(first.read_bytes())
    assert batchjobs.plan(other, options).to_do == 0
    meant = batchjobs.Options(engine="tone", replace=True)
    assert batchjobs.plan(second, meant).to_do == 1


def test_a_run_that_cannot_begin_leaves_the_last_one_as_it_was(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan is adopted once everything it needs is there."""
    batchjobs.run(manifest, batchjobs.Options(engine="tone"))

    def missing(*_: object, **__: object) -> NoReturn:
        raise batchjobs.errors.ConfigurationError("its extra is not installed", hint="install it")

    monkeypatch.setattr(endpoints, "local_server", missing)
    with pytest.raises(batchjobs.errors.ConfigurationError):
        batchjobs.run(manifest, batchjobs.Options(engine="espeak"))
    with pytest.raises(batchjobs.errors.UsageError, match="did you mean 'drop'"):
        batchjobs.run(manifest, batchjobs.Options(engine="espeak", faults=("dorp",)))
    found = batchjobs.status(Path("outputs/three"))
    assert (found.done, found.not_run) == (3, 0)
