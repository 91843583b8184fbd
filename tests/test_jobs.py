"""Keys and ids: the same work has the same name, other work another."""

import dataclasses
import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.jobs import BadRow, Job, Kind, SpeechSettings, derive_id, make_segment_key

_SPEECH = SpeechSettings(voice_id="ar-najdi-male-2", model_id="faseeh-mini-v1-preview")


def _key(**changes: Any) -> str:
    given_: dict[str, Any] = {
        "kind": Kind.TTS,
        "service": "munsit",
        "model": "m",
        "speech": _SPEECH,
        "text": "مرحبا",
    }
    return make_segment_key(**(given_ | changes))


def test_the_key_of_today_is_the_key_of_tomorrow() -> None:
    """A key never changes between versions by accident: finished work would be bought again."""
    assert _key() == "5d0a0f6fecee9c41ac09423e0c96dc29efcb31315ff28c70008caf3910760074"
    stt = make_segment_key(
        kind=Kind.STT, service="local:tone", model="", audio_sha256="00" * 32, take=1
    )
    assert stt == "b2390bfd4383fe8c97c0215fa9b584f4580ed78a3c40017dde437f2040653985"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": Kind.STT},
        {"service": "faseeh"},
        {"model": "n"},
        {"speech": None},
        {"text": "مرحبا "},
        {"text": "مَرحبا"},
        {"text": "مرحبـا"},
        {"text": "مر\u200dحب"},
        {"text": "مر\u200cحب"},
        {"audio_sha256": "ab"},
        {"take": 1},
        *(
            {"speech": speech}
            for speech in (
                dataclasses.replace(_SPEECH, voice_id="v"),
                dataclasses.replace(_SPEECH, model_id="m"),
                dataclasses.replace(_SPEECH, stability=0.4),
                dataclasses.replace(_SPEECH, similarity_boost=0.7),
                dataclasses.replace(_SPEECH, speed=1.1),
                dataclasses.replace(_SPEECH, output_format="pcm_16000"),
                dataclasses.replace(_SPEECH, dialect="emirati"),
            )
        ),
    ],
)
def test_whatever_determines_the_result_changes_the_key(change: dict[str, object]) -> None:
    """Every setting, every diacritic, tatweel and joiner makes another purchase."""
    assert _key(**change) != _key()


def test_composed_and_decomposed_text_are_two_texts() -> None:
    """Text is hashed as it came: no normalisation hides what was sent."""
    composed, decomposed = "آب", unicodedata.normalize("NFD", "آب")
    assert composed != decomposed
    assert _key(text=composed) != _key(text=decomposed)


def test_one_and_one_point_zero_are_one_speed() -> None:
    """A JSON integer does not make a second purchase of the same settings."""
    whole = dataclasses.replace(_SPEECH, speed=1, stability=0, similarity_boost=1)
    broken = dataclasses.replace(_SPEECH, speed=1.0, stability=0.0, similarity_boost=1.0)
    assert _key(speech=whole) == _key(speech=broken)


@given(
    st.lists(st.text(max_size=6), min_size=3, max_size=3),
    st.lists(st.text(max_size=6), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_fields_do_not_run_into_each_other(one: list[str], other: list[str]) -> None:
    """Moving a character from one field to the next makes another key."""

    def key(fields: list[str]) -> str:
        service, model, text = fields
        return make_segment_key(kind=Kind.TTS, service=service, model=model, text=text)

    assert (key(one) == key(other)) == (one == other)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000])
def test_the_format_names_the_rate(rate: int) -> None:
    """The asked sample rate is read from the output format."""
    assert dataclasses.replace(_SPEECH, output_format=f"pcm_{rate}").sample_rate == rate


def test_an_id_depends_on_content_alone() -> None:
    """The same row has the same id wherever it stands and however its columns are ordered."""
    assert derive_id({"text": "سلام", "take": 1}) == derive_id({"take": 1, "text": "سلام"})
    assert derive_id({"text": "سلام"}) != derive_id({"text": "سلامٌ"})
    assert derive_id({"text": "سلام"}) == "198eec51d0368125"


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"n": 10**30},
        {"deep": _nested(300)},
        {"text": "\ud800"},
        {None: ["too", "many"], "text": "x"},
        {"a": {2: 3}},
    ],
)
def test_every_row_gets_an_id(row: Mapping[str, object]) -> None:
    """Rows that JSON cannot hold have a stable id too: a bad row is told by it."""
    assert derive_id(row) == derive_id(dict(row))
    assert len(derive_id(row)) == 16
    assert derive_id({**row, "more": 1}) != derive_id(row)


def test_a_bad_row_says_where_and_what_to_do() -> None:
    """File, line, column, what is wrong and the way out, in this order."""
    bad = BadRow(
        line=17, column="voice_id", message="is empty", hint="give a voice, or pass --voice"
    )
    told = "talks.csv:17: column 'voice_id': is empty; give a voice, or pass --voice"
    assert bad.describe("talks.csv") == told
    assert BadRow(line=2, column="", message="three cells").describe("-") == "-:2: three cells"


def test_records_cannot_be_changed() -> None:
    """A job on its way through the run stays what the manifest said."""
    job = Job(id="a", line=2, kind=Kind.TTS, provider="local")
    with pytest.raises(AttributeError):
        job.id = "b"  # type: ignore[misc]  # it must not be
    assert not hasattr(job, "__dict__")


def test_hot_words_are_part_of_the_key_where_there_are_any() -> None:
    """Their order and their number make no other purchase; their letters and marks do."""

    def key(*hotwords: str) -> str:
        return make_segment_key(
            kind=Kind.STT, service="s", model="m", audio_sha256="a", hotwords=hotwords
        )

    assert key() == make_segment_key(kind=Kind.STT, service="s", model="m", audio_sha256="a")
    assert key("بيت", "عليكـم") == key("عليكـم", "بيت", "بيت") != key()
    assert (
        len({key(), key("بيت"), key("بَيت"), key("بيـت"), key("می\u200cخواهم"), key("میخواهم")}) == 6
    )
    assert key("a b") != key("a", "b")
