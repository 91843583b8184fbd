"""Whole runs against services over HTTP that were written without our code, with every ending."""

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

import batchjobs
from tests.canary import KEY, place_in
from tests.faults.state_world import hurry_retries
from tests.manners import sound
from tests.manners.posting import PostManner, PostService, run_post_service

TEXTS = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ، أَهْلًا وَسَهْلًا بِكُمْ.",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا عن المدينة القديمة.",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل ولا تعجل می\u200cخواهم لا\u200dإله.",
    'He said: "Run it again", and 24 of the 31 results were there.\nقال: «لن أعود…»\u200f.',
)


@contextmanager
def _run(
    folder: Path,
    manner: PostManner,
    *,
    attempts: int = 3,
    context: ssl.SSLContext | None = None,
    settings: str = "",
) -> Iterator[tuple[batchjobs.RunReport, PostService]]:
    """Have the texts spoken by a service."""
    key_file = folder / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    service = PostService(manner, KEY)
    with run_post_service(service, context) as base_url:
        config = folder / "batchjobs.toml"
        config.write_text(
            f'[providers.poster]\nlike = "munsit"\nbase_url = "{base_url}"\ntts_transport = "http"\n'
            "outage_limit_seconds = 1.0\nfirst_audio_seconds = 2.0\n" + settings
        )
        options = batchjobs.Options(
            provider="poster",
            config=config,
            key_file=key_file,
            output=folder / "out",
            attempts=attempts,
            concurrency=2,
            speech=batchjobs.Defaults(voice_id="v"),
        )
        rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]
        with hurry_retries():
            yield batchjobs.run(rows, options), service
    assert service.complaints == []
    assert set(service.asked) <= set(TEXTS)  # as they were, to the byte


def _results(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    found = batchjobs.read_results(folder / "out", ["done", "suspect", "failed"])
    return {str(each["text"]): dict(each) for each in found}


def _are_whole(folder: Path) -> bool:
    """Whether every text has the very samples that the service makes of it."""
    found = _results(folder)
    wanted = {text: hashlib.sha256(sound.clip(text, loud=False)).hexdigest() for text in TEXTS}
    return {text: each.get("pcm_sha256") for text, each in found.items()} == wanted


@pytest.mark.parametrize(
    "manner",
    [
        PostManner(),
        PostManner(framing="length"),
        PostManner(framing="gzip"),
        PostManner(framing="close"),
        PostManner(piece_bytes=1_023, closes=True),
        PostManner(is_wav=True, content_type="audio/wav"),
        PostManner(is_wav=True, framing="gzip", content_type="audio/pcm;rate=24000"),
        PostManner(first_byte_seconds=0.5),
    ],
    ids=str,
)
def test_good_manners_are_all_understood(tmp_path: Path, manner: PostManner) -> None:
    """However an answer is framed, each text is asked for once and comes as it was sent."""
    with _run(tmp_path, manner) as (report, service):
        assert report.exit_code == 0
        assert sorted(service.asked) == sorted(TEXTS)
    assert _are_whole(tmp_path)


@pytest.mark.parametrize(
    "manner",
    [
        PostManner(share=0.5, breaks="end"),
        PostManner(share=1.0, breaks="end"),  # all of the samples, and no last chunk
        PostManner(share=0.5, breaks="reset"),
        PostManner(share=0.0, breaks="end"),
        PostManner(framing="length", share=0.9, breaks="end"),
        PostManner(framing="gzip", share=0.9, breaks="end"),
        PostManner(status=500, body=b'{"errorMessage":"\xd8\xae\xd8\xb7\xd8\xa3"}'),
        PostManner(status=503, body=b"<html>", closes=True),
        PostManner(status=429, headers=("Retry-After: 0",)),
        PostManner(status=200, body=b"{}", headers=("Content-Type: application/json",)),
        PostManner(status=200, body=b"<html>", headers=("Content-Type: text/html",)),
    ],
    ids=str,
)
def test_what_goes_wrong_once_is_asked_for_again(tmp_path: Path, manner: PostManner) -> None:
    """Nothing broken is taken for whole; what may be billed twice is counted twice."""
    once = PostManner(**{name: getattr(manner, name) for name in manner.__slots__} | {"times": 1})
    with _run(tmp_path, once) as (report, service):
        assert report.exit_code == 0
        assert sorted(service.asked) == sorted(TEXTS * 2)
        status = batchjobs.status(report.folder)
    assert _are_whole(tmp_path)
    assert not place_in((tmp_path / "out" / "results.jsonl").read_text("utf-8"))
    assert status.characters_wasted == (0 if manner.status == 429 else sum(map(len, TEXTS)))


@pytest.mark.parametrize(
    ("manner", "exit_code", "label"),
    [
        (PostManner(status=400, body=b'{"errorMessage":"text"}'), 1, "permanent"),
        (PostManner(status=404, body=b'{"errorMessage":"voice"}'), 1, "permanent"),
        (PostManner(share=0.5, breaks="end"), 1, "transient"),
    ],
    ids=str,
)
def test_what_stays_wrong_is_a_failure_of_its_row(
    tmp_path: Path, manner: PostManner, exit_code: int, label: str
) -> None:
    """With the service's own words where it has some; for good at once, or after its attempts."""
    with _run(tmp_path, manner, attempts=2) as (report, service):
        assert report.exit_code == exit_code
        assert len(service.asked) == len(TEXTS) * (1 if label == "permanent" else 2)
    found = _results(tmp_path)
    assert {each["error"]["class"] for each in found.values()} == {label}
    words = manner.body.decode()[17:-2] or "ended early"
    assert all(words in each["error"]["message"] for each in found.values())


@pytest.mark.parametrize(
    ("manner", "exit_code", "words"),
    [
        (PostManner(status=401), 77, "401"),
        (PostManner(status=402, body=b'{"errorMessage":"wallet"}'), 69, "wallet"),
        (PostManner(status=404, body=b"<html>"), 69, "nothing is served at /text-to-speech/"),
        (PostManner(status=302, headers=("Location: http://127.0.0.1:9/",)), 69, "redirects"),
        (PostManner(content_type="audio/mpeg"), 69, "audio/mpeg"),
        (PostManner(is_mute=True), 69, "took the text of 'r0', and no audio came"),
    ],
    ids=str,
)
def test_what_no_other_text_could_fare_better_with_ends_the_run(
    tmp_path: Path, manner: PostManner, exit_code: int, words: str
) -> None:
    """At the first text: no other is sent."""
    with _run(tmp_path, manner, attempts=1) as (report, service):
        assert report.exit_code == exit_code
        assert words in str(report.error)
        assert len(service.asked) == 1
        assert not place_in(str(report.error))


def test_audio_cut_short_by_a_service_that_marks_its_end_is_doubted(tmp_path: Path) -> None:
    """The transport is whole, the speech is not: the judges of the sockets' audio see it."""
    with _run(tmp_path, PostManner(share=0.1, times=1_000), attempts=1) as (report, _):
        assert report.exit_code == 1
    assert {each["status"] for each in _results(tmp_path).values()} == {"suspect"}


def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an authority that is known, all is well; with none, the key is not shown."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with _run(tmp_path, PostManner(), context=context) as (report, service):
        assert report.exit_code == 69
        assert "certificate" in str(report.error)
        assert service.asked == []
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with _run(tmp_path, PostManner(share=0.5, breaks="end", times=1), context=context) as (
        report,
        service,
    ):
        assert report.exit_code == 0
    assert _are_whole(tmp_path)


def test_connections_are_kept_and_no_more_than_the_sessions(tmp_path: Path) -> None:
    """Two sessions at a time need two connections, however many texts there are."""
    with _run(tmp_path, PostManner()) as (report, service):
        assert report.exit_code == 0
        assert service.connections <= 2


def test_no_proxy_of_the_environment_sees_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sockets take none, and neither do requests."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with _run(tmp_path, PostManner()) as (report, _):
        assert report.exit_code == 0
