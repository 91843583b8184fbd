"""A default model that becomes another one: what was bought under the old one is not bought again."""

import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

import batchjobs
from batchjobs.checkpoint import Checkpoint, SegmentChanges, SegmentRecord
from batchjobs.errors import UsageError
from batchjobs.jobs import Job, Kind
from batchjobs.planning.keys import cut_text
from batchjobs.planning.plan import Plan, Superseded
from batchjobs.providers import BUILT_IN, Provider, change_provider
from batchjobs.server.child import local_server
from batchjobs.server.settings import ServerSettings
from tests.planning.desk import Desk

_NOW = BUILT_IN["munsit"]
_THEN = change_provider(
    _NOW, {"tts_model": "faseeh-mini-v1-preview", "stt_model": ""}, where="before"
)
_SPEECH = Superseded(
    provider="munsit",
    kind=Kind.TTS,
    model="faseeh-mini-v1-preview",
    wanted="faseeh-v1-preview",
    rows=1,
)
_HEARD = Superseded(provider="munsit", kind=Kind.STT, model="", wanted="munsit", rows=1)

Table = Sequence[Mapping[str, object]]


@pytest.fixture
def then(tmp_path: Path) -> Desk:
    """Give a desk with the defaults of before."""
    return _desk(tmp_path, _THEN)


def _desk(home: Path, munsit: Provider) -> Desk:
    return Desk(home=home, providers={**BUILT_IN, "munsit": munsit})


def _planned(then: Desk, table: Table, munsit: Provider = _NOW) -> Plan:
    with Checkpoint.read(then.folder) as checkpoint:
        return _desk(then.home, munsit).made(table, checkpoint)


def _text(text: str, **columns: object) -> dict[str, object]:
    return {"id": "a", "text": text, "provider": "munsit", **columns}


def _recording(home: Path) -> dict[str, object]:
    with wave.open(str(home / "talk.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\x10\x20" * 32_000)
    return {"id": "a", "audio": "talk.wav", "provider": "munsit"}


def test_speech_made_with_the_default_of_before_is_found(then: Desk) -> None:
    """Its row names no model: the key is another one now, and the audio as good as it was."""
    table = [_text("مَرْحَبًا بِكُمْ ـــ ١٢٣")]
    assert then.run(table) == ["a"]
    assert _planned(then, table).superseded == (_SPEECH,)
    assert _planned(then, table, _THEN).superseded == ()
    renamed = [_text("مَرْحَبًا بِكُمْ ـــ ١٢٣", id="ب")]
    assert _planned(then, renamed).superseded == (_SPEECH,)


def test_transcripts_made_with_no_model_named_are_found(then: Desk) -> None:
    """The recording is the same, and what was sent beside it was nothing."""
    table = [_recording(then.home)]
    assert then.run(table) == ["a"]
    assert _planned(then, table).superseded == (_HEARD,)
    assert _planned(then, table, _THEN).superseded == ()


def test_what_was_not_made_with_that_default_is_bought_as_ever(then: Desk) -> None:
    """Another text, a failure, a lost file, a model that the row names: no result stands against it."""
    table = [_text("one"), _text("two", id="b"), _text("three", id="c")]
    assert then.run(table, failing={"b": True}) == ["a", "c"]
    (then.folder / "audio" / "c.wav").unlink()
    for row in (
        _text("another"),
        _text("one", model_id="faseeh-v1-preview"),
        table[1],
        table[2],
        {"id": "a", "text": "one", "provider": "faseeh"},
    ):
        assert _planned(then, [row]).superseded == ()
    new = _desk(then.home / "new", _NOW)
    new.home.mkdir()
    with Checkpoint.none(new.folder) as checkpoint:
        assert new.made(table, checkpoint).superseded == ()


def test_parts_of_a_long_text_count_as_finished(then: Desk) -> None:
    """A book of which a part was bought when it was killed goes on with the model it began with."""
    short = replace(_THEN, text_limit_characters=40)
    table = [_text("جُملة طويلة بعض الشيء. " * 6)]
    begun = _desk(then.home, short)
    begun.plan(table)
    job = next(iter(begun.rows(table)))
    assert isinstance(job, Job)
    segment = cut_text(job, short)[0][0]
    path = begun.folder / "segments" / "1.wav"
    path.parent.mkdir()
    path.write_bytes(b"RIFF")
    bought = SegmentRecord(key=segment.key, job_key="j", path="segments/1.wav", bytes=4)
    now = replace(_NOW, text_limit_characters=40)
    assert _planned(then, table, now).superseded == ()
    with Checkpoint.open(begun.folder) as checkpoint:
        checkpoint.commit(changes=[SegmentChanges(bought=bought)])
    assert _planned(then, table, now).superseded == (_SPEECH,)
    path.unlink()
    assert _planned(then, table, now).superseded == ()


def test_parts_of_a_long_recording_count_as_finished(then: Desk) -> None:
    """Stretches that were heard when the run was killed are not heard again."""
    short = replace(_THEN, audio_limit_seconds=1.0, audio_target_seconds=1.0)
    table = [_recording(then.home)]
    begun = _desk(then.home, short)
    begun.plan(table)
    with Checkpoint.open(begun.folder) as checkpoint:
        (row, _), *_ = checkpoint.rows.stream_outcomes()
        heard = SegmentRecord(key="s", job_key=row.key, text="نَصّ", audio_seconds=1.0)
        checkpoint.commit(changes=[SegmentChanges(bought=heard)])
    now = replace(_NOW, audio_limit_seconds=1.0, audio_target_seconds=1.0)
    assert _planned(then, table, now).superseded == (_HEARD,)


def test_a_run_of_before_buys_nothing_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with what to give, either way; given the old model, there is nothing to do."""
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "m.csv"
    manifest.write_text("id,text\na,السلام عليكم ورحمة الله\nb,Hello to everybody\n")
    heard = tmp_path / "heard.csv"
    heard.write_text("audio\noutputs/m/audio/a.wav\n")

    def config(*, stt_model: str, address: str = "ws://127.0.0.1:9/api/v1") -> None:
        (tmp_path / "batchjobs.toml").write_text(
            f'[providers.munsit]\nbase_url = "{address}"\nvoice = "v"\npace = 0.0\n'
            f"close_drains = true\ntranscript_per_chunk = true\n{stt_model}\n"
        )

    def options(model: str = "") -> batchjobs.Options:
        speech = batchjobs.Defaults(provider="munsit", model_id=model)
        return batchjobs.Options(provider="munsit", speech=speech)

    async def bought() -> None:
        server = ServerSettings(engine="tone")
        async with local_server(server) as base_url:
            config(stt_model='stt_model = ""', address=base_url)
            monkeypatch.setenv("MUNSIT_API_KEY", server.token)
            for source in (manifest, heard):
                report = await batchjobs.run_async(source, options("faseeh-mini-v1-preview"))
                assert report.exit_code == 0

    trio.run(bought)
    config(stt_model="")
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(UsageError, match="finished speech of 2 rows") as caught:
            attempt(manifest, options())
        assert "--model faseeh-mini-v1-preview" in caught.value.hint
        with pytest.raises(UsageError, match="finished transcription of 1 row ") as caught:
            attempt(heard, options("any"))
        assert 'stt_model = ""' in caught.value.hint
    assert batchjobs.plan(manifest, options("faseeh-mini-v1-preview")).to_do == 0
    assert batchjobs.plan(manifest, options("faseeh-v1-preview")).to_buy.rows == 2
    config(stt_model='stt_model = ""')
    assert batchjobs.plan(heard, options()).to_do == 0
