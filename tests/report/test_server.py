"""The server of a page, on real sockets: who gets in, what they get, and what is on the disk then."""

import http.client
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import batchjobs
from batchjobs.api.page import make_site
from batchjobs.checkpoint import Checkpoint, Decision
from batchjobs.errors import ConfigurationError, ReviewError
from batchjobs.report import server
from batchjobs.report.answers import Site
from tests.builders import ARABIC, make_failed_record
from tests.report.listened import (
    ENDINGS,
    make_clip_row,
    make_done,
    make_run,
    make_suspect,
    write_clip,
)


@dataclass
class Reply:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Visitor:
    """A browser, as far as HTTP goes."""

    site: Site
    cookie: str = ""
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(60))
    """Of its own: the server's threads must not wait for those that wait for the server."""

    @property
    def host(self) -> str:
        """Where the page is."""
        return f"127.0.0.1:{self.site.port}"

    async def ask(
        self, target: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Reply:
        """Make a request in a thread; a header's name has underscores for its hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            given.setdefault("Cookie", self.cookie)
        ask = partial(self._ask, target, method, body, given)
        return await trio.to_thread.run_sync(ask, limiter=self.threads)

    def _ask(self, target: str, method: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=20)
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    async def enter(self) -> None:
        """Show the token, and keep the cookie."""
        answer = await self.ask("/enter", "POST", Authorization=f"Bearer {self.site.token}")
        assert answer.status == 204
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]

    async def decide(self, row: str, decision: str, note: str = "") -> Reply:
        """Send a decision as the page does."""
        content = json.dumps({"id": row, "decision": decision, "note": note}).encode()
        return await self.ask("/decisions", "POST", content, Origin=f"http://{self.host}")


def make_talk(folder: Path) -> Path:
    """Make a run of a clip of each format, one more that is in doubt, and one that failed."""
    files = [write_clip(folder, f"audio/r{n}.{end}") for n, end in enumerate(ENDINGS, 1)]
    rows = [make_clip_row(n, ARABIC, ending=end) for n, end in enumerate(ENDINGS, 1)]
    kept = write_clip(folder, "suspect/مرحبا #5?%20.wav")
    records = [make_done(n, file) for n, file in enumerate(files, 1)]
    rows += [make_clip_row(5, "five"), make_clip_row(6, "six")]
    return make_run(folder, rows, [*records, make_suspect(5, kept), make_failed_record(6)])


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncIterator[Visitor]:
    """Serve a run's page as long as the block lasts."""
    site, _ = await trio.to_thread.run_sync(partial(make_site, folder))
    for name, value in changes.items():
        setattr(site, name, value)
    listener = await server.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, site, listener)
        await trio.testing.wait_all_tasks_blocked()
        yield Visitor(site)
        nursery.cancel_scope.cancel()


# -- who gets in -----------------------------------------------------------------------------------


async def test_without_the_token_there_is_nothing_but_the_entrance(tmp_path: Path) -> None:
    """No page, no clip, no decision, nor whether there is one."""
    async with serving(make_talk(tmp_path)) as visitor:
        front = await visitor.ask("/")
        assert front.status == 200
        assert ARABIC.encode() not in front.body
        assert b"batchjobs report --serve" in front.body
        assert visitor.site.token.encode() not in front.body
        for target in ("/audio/r1.wav", "/audio/none.wav", "/decisions", "/checkpoint.sqlite3"):
            assert (await visitor.ask(target)).status == 403
        for wrong in ("", "Bearer", "Bearer ", "Bearer x", f"Basic {visitor.site.token}"):
            assert (await visitor.ask("/enter", "POST", Authorization=wrong)).status == 403
        by_get = await visitor.ask("/enter", Authorization=f"Bearer {visitor.site.token}")
        assert by_get.status == 403
        assert (
            await visitor.ask("/", Cookie=f"batchjobs-report-{visitor.site.port}=")
        ).body == front.body
        assert (await visitor.decide("r1", "accept")).status == 403
        assert not (tmp_path / "review.jsonl").exists()


async def test_with_the_token_there_is_the_page(tmp_path: Path) -> None:
    """By a cookie that no script can read and no other site can use."""
    async with serving(make_talk(tmp_path)) as visitor:
        answer = await visitor.ask("/enter", "POST", Authorization=f"Bearer {visitor.site.token}")
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert "SameSite=Strict" in answer.headers["Set-Cookie"]
        assert visitor.site.token not in answer.headers["Set-Cookie"]
        await visitor.enter()
        page = await visitor.ask("/")
        assert page.status == 200
        assert json.dumps(ARABIC, ensure_ascii=False).encode() in page.body
        policy = page.headers["Content-Security-Policy"]
        assert "connect-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        head = await visitor.ask("/", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(page.body))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "localhost.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_other_names_and_other_sites_get_nothing(
    tmp_path: Path, headers: dict[str, Any]
) -> None:
    """Neither a name that was made to lead here, nor a page of another site, with the cookie too."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        for target in ("/", "/audio/r1.wav", "/decisions"):
            answer = await visitor.ask(target, **headers)
            assert answer.status in {403, 421}
            assert answer.body == b""
        entering: dict[str, Any] = {"Authorization": f"Bearer {visitor.site.token}"} | headers
        assert (await visitor.ask("/enter", "POST", **entering)).status in {403, 421}


async def test_a_decision_needs_an_origin(tmp_path: Path) -> None:
    """A form of another site sends none that is ours, and old browsers none at all."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        content = b'{"id":"r1","decision":"reject"}'
        assert (await visitor.ask("/decisions", "POST", content)).status == 405
        assert not (tmp_path / "review.jsonl").exists()


async def test_this_machine_has_two_names(tmp_path: Path) -> None:
    """By both of them the page is the same site."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        host = f"localhost:{visitor.site.port}"
        assert (await visitor.ask("/decisions", Host=host, Origin=f"http://{host}")).status == 200
        mixed = await visitor.ask("/decisions", Host=host, Origin=f"http://{visitor.host}")
        assert mixed.status == 403


# -- clips -----------------------------------------------------------------------------------------


def addresses_of(page: bytes) -> dict[str, str]:
    """Find the clips' addresses in a page, by row."""
    facts, data = re.findall(
        r'<script type="application/json"[^>]*>(.*?)</script>', page.decode(), re.DOTALL
    )
    names = json.loads(facts)["fields"]
    rows = [dict(zip(names, row, strict=True)) for row in json.loads(data)]
    return {row["id"]: row["clip"] for row in rows}


async def test_every_clip_of_the_page_is_there_and_nothing_else(tmp_path: Path) -> None:
    """With its type; not the checkpoint, not a file beside the clips, nor one above."""
    make_talk(tmp_path)
    (tmp_path / "audio/other.wav").write_bytes(b"mine")
    types = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp3": "audio/mpeg"}
    async with serving(tmp_path) as visitor:
        await visitor.enter()
        clips = addresses_of((await visitor.ask("/")).body)
        for number, ending in enumerate(ENDINGS, 1):
            answer = await visitor.ask(f"/{clips[f'r{number}']}")
            assert answer.status == 200
            assert answer.body == (tmp_path / f"audio/r{number}.{ending}").read_bytes()
            assert answer.headers["Content-Type"] == types[ending]
        odd = await visitor.ask(f"/{clips['r5']}")
        assert odd.body == (tmp_path / "suspect/مرحبا #5?%20.wav").read_bytes()
        for target in (
            "/audio/other.wav",
            "/checkpoint.sqlite3",
            "/results.jsonl",
            "/audio/../checkpoint.sqlite3",
            "/audio/%2e%2e/checkpoint.sqlite3",
            "/../../etc/passwd",
            "//etc/passwd",
            "/audio/",
            "/audio/r1.wav%00",
        ):
            answer = await visitor.ask(target)
            assert (answer.status, answer.body) == (404, b"")
        assert (await visitor.ask("/audio/r1.wav", "POST", b"")).status == 405
        assert (await visitor.ask("/audio/r1.wav", "DELETE")).status == 405


async def test_a_clip_that_has_become_something_else_is_not_given(tmp_path: Path) -> None:
    """A link that leads out of the run folder, a folder, a pipe, or nothing."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    run = make_talk(tmp_path / "run")
    async with serving(run) as visitor:
        await visitor.enter()
        clip = run / "audio/r1.wav"
        clip.unlink()
        assert (await visitor.ask("/audio/r1.wav")).status == 404
        clip.symlink_to(secret)
        assert (await visitor.ask("/audio/r1.wav")).status == 404
        clip.unlink()
        clip.mkdir()
        assert (await visitor.ask("/audio/r1.wav")).status == 404


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-99999999", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=-99999999", 0, None),
    ],
)
async def test_a_part_of_a_clip_can_be_asked_for(
    tmp_path: Path, asked: str, first: int, last: int | None
) -> None:
    """Which is how a player seeks."""
    make_talk(tmp_path)
    whole = (tmp_path / "audio/r1.wav").read_bytes()
    async with serving(tmp_path) as visitor:
        await visitor.enter()
        answer = await visitor.ask("/audio/r1.wav", Range=asked)
        assert answer.status == 206
        assert answer.body == whole[first:last]
        begin, _, _ = slice(first, last).indices(len(whole))
        told = f"bytes {begin}-{begin + len(answer.body) - 1}/{len(whole)}"
        assert answer.headers["Content-Range"] == told
        assert answer.headers["Content-Length"] == str(len(answer.body))


async def test_a_part_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """And what is no range, or several, is answered with the whole."""
    make_talk(tmp_path)
    whole = (tmp_path / "audio/r1.wav").read_bytes()
    async with serving(tmp_path) as visitor:
        await visitor.enter()
        for asked in ("bytes=99999999-", "bytes=5-4", "bytes=-0"):
            answer = await visitor.ask("/audio/r1.wav", Range=asked)
            assert (answer.status, answer.headers["Content-Range"]) == (
                416,
                f"bytes */{len(whole)}",
            )
        for asked in ("bytes=0-1,5-6", "bytes=-", "samples=0-1", "bytes=a-b", "bytes=٠-١"):
            answer = await visitor.ask("/audio/r1.wav", Range=asked.encode().decode("latin-1"))
            assert (answer.status, answer.body) == (200, whole)


# -- decisions -------------------------------------------------------------------------------------


async def test_a_decision_is_on_the_disk_before_the_page_is_told(tmp_path: Path) -> None:
    """As `review` reads it; taken back, it is gone; a new visit finds those that are left."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        assert json.loads((await visitor.ask("/decisions")).body) == []
        assert (await visitor.decide("r1", "reject", ARABIC)).status == 200
        (line,) = (tmp_path / "review.jsonl").read_text(encoding="utf-8").splitlines()
        with Checkpoint.read(tmp_path) as checkpoint:
            record = checkpoint.lookups.find(["r1"])["r1"]
            assert json.loads(line) == {
                "run": checkpoint.identify(),
                "id": "r1",
                "decision": "reject",
                "note": ARABIC,
                "sha256": record.files[0].sha256,
            }
        await visitor.decide("r5", "accept")
        await visitor.decide("r6", "drop")
        await visitor.decide("r1", "")
        assert (await visitor.decide("r1", "")).status == 200
        found = json.loads((await visitor.ask("/decisions")).body)
        assert [(name, decision) for name, decision, _, _ in found] == [
            ("r5", "accept"),
            ("r6", "drop"),
        ]
    async with serving(tmp_path) as visitor:
        await visitor.enter()
        assert json.loads((await visitor.ask("/decisions")).body) == found
    report = batchjobs.review(tmp_path, tmp_path / "review.jsonl")
    assert (report.accepted, report.dropped) == (("r5",), ("r6",))


async def test_what_is_no_decision_changes_nothing(tmp_path: Path) -> None:
    """An unknown row, one without a clip to judge, and what is not JSON of that form."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        assert (await visitor.decide("nobody", "accept")).status == 404
        assert (await visitor.decide("r6", "accept")).status == 404
        assert (await visitor.decide("r1", "burn")).status == 400
        origin = f"http://{visitor.host}"
        for content in (b"", b"{", b"[]", b'{"id":7}', b"\xff", b"null"):
            answer = await visitor.ask("/decisions", "POST", content, Origin=origin)
            assert answer.status == 400
        large = await visitor.ask("/decisions", "POST", b" " * 70_000, Origin=origin)
        assert large.status == 413
        assert (await visitor.ask("/decisions", "DELETE")).status == 405
        assert not (tmp_path / "review.jsonl").exists()


async def test_many_decisions_at_once_are_all_there(tmp_path: Path) -> None:
    """Whichever of them wrote the file, each answer came after its own was in it."""
    files = [write_clip(tmp_path, f"audio/r{n}.wav", 0.01) for n in range(1, 41)]
    rows = [make_clip_row(n, "text") for n in range(1, 41)]
    make_run(tmp_path, rows, [make_done(n, file) for n, file in enumerate(files, 1)])
    async with serving(tmp_path) as visitor:
        await visitor.enter()

        async def decide(number: int) -> None:
            assert (await visitor.decide(f"r{number}", "accept")).status == 200
            content = (tmp_path / "review.jsonl").read_text(encoding="utf-8")
            assert f'"id":"r{number}"' in content
            assert content.endswith("}\n")

        async with trio.open_nursery() as nursery:
            for number in range(1, 41):
                nursery.start_soon(decide, number)
    assert len(batchjobs.review(tmp_path, tmp_path / "review.jsonl").confirmed) == 40


async def test_a_disk_that_fails_is_told_to_the_page(tmp_path: Path) -> None:
    """It says so, and asks again; what was there before is whole."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()
        await visitor.decide("r1", "accept")
        (tmp_path / "review.jsonl").unlink()
        (tmp_path / "review.jsonl").mkdir()
        answer = await visitor.decide("r2", "accept")
        assert answer.status == 507
        assert "review.jsonl" in json.loads(answer.body)["error"]
        (tmp_path / "review.jsonl").rmdir()
        assert (await visitor.decide("r2", "accept")).status == 200
        assert len((tmp_path / "review.jsonl").read_bytes().splitlines()) == 2


def test_decisions_about_clips_that_have_changed_are_left_out(tmp_path: Path) -> None:
    """Those that still hold are taken up; a file that is something else is not overwritten."""
    make_talk(tmp_path)
    with Checkpoint.read(tmp_path) as checkpoint:
        run = checkpoint.identify()
        record = checkpoint.lookups.find(["r1"])["r1"]
    good = {
        "run": run,
        "id": "r1",
        "decision": "drop",
        "note": "",
        "sha256": record.files[0].sha256,
    }
    lines = [good, good | {"id": "r2", "sha256": "00" * 32}, good | {"id": "gone"}]
    path = tmp_path / "review.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    _, opened = make_site(tmp_path)
    assert opened.stale == ("r2", "gone")
    assert len(opened.store) == 1
    assert len(path.read_bytes().splitlines()) == 1
    for content in (b"my notes\n", json.dumps(good | {"run": "other"}).encode()):
        path.write_bytes(content)
        with pytest.raises(ReviewError):
            make_site(tmp_path)
        assert path.read_bytes() == content


async def test_decisions_about_rows_that_are_not_shown_stay(tmp_path: Path) -> None:
    """A page of the worst row alone throws nothing away, and adds what is decided there."""
    make_talk(tmp_path)
    with Checkpoint.read(tmp_path) as checkpoint:
        run = checkpoint.identify()
        hashes = {
            row.id: record.files[0].sha256
            for row, record in checkpoint.rows.stream_outcomes()
            if record is not None and record.files
        }
    path = tmp_path / "review.jsonl"
    lines = [
        {"run": run, "id": name, "decision": "drop", "note": ARABIC, "sha256": sha256}
        for name, sha256 in hashes.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    site, opened = make_site(tmp_path, most_rows=1)
    assert opened.stale == ()
    assert len(opened.store) == len(hashes) > 1
    (shown,) = [name for name in hashes if await site.store.put(name, Decision.ACCEPT, "")]
    saved = {
        line["id"]: line["decision"] for line in map(json.loads, path.read_bytes().splitlines())
    }
    assert saved == dict.fromkeys(hashes, "drop") | {shown: "accept"}


# -- connections -----------------------------------------------------------------------------------


async def test_several_requests_come_on_one_connection(tmp_path: Path) -> None:
    """A browser keeps it open; what is no HTTP ends it, and no other."""
    async with serving(make_talk(tmp_path)) as visitor:
        await visitor.enter()

        def talk() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", visitor.site.port, timeout=20)
            connection.connect()
            first = connection.sock
            for _ in range(3):
                connection.request("GET", "/audio/r1.wav", headers={"Cookie": visitor.cookie})
                assert len(connection.getresponse().read()) > 100
                assert connection.sock is first
            for garbage in (b"\0\1\2\3\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"A" * 40_000):
                with socket.create_connection(("127.0.0.1", visitor.site.port), 20) as other:
                    other.sendall(garbage)
                    other.shutdown(socket.SHUT_WR)
                    while other.recv(4_096):
                        pass
            connection.request("HEAD", "/audio/r1.wav", headers={"Cookie": visitor.cookie})
            assert connection.getresponse().status == 200
            connection.close()

        await trio.to_thread.run_sync(talk)


async def test_a_player_that_hangs_up_harms_nobody(tmp_path: Path) -> None:
    """In the middle of a long clip, as often as it likes."""
    file = write_clip(tmp_path, "audio/r1.wav", 120.0)
    make_run(tmp_path, [make_clip_row(1, "long")], [make_done(1, file, 120.0)])
    async with serving(tmp_path) as visitor:
        await visitor.enter()

        def hang_up() -> None:
            request = f"GET /audio/r1.wav HTTP/1.1\r\nHost: {visitor.host}\r\nCookie: {visitor.cookie}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", visitor.site.port), 20) as player:
                player.sendall(request.encode())
                assert player.recv(1_000).startswith(b"HTTP/1.1 200")

        few = trio.CapacityLimiter(10)
        async with trio.open_nursery() as nursery:
            for _ in range(80):
                nursery.start_soon(partial(trio.to_thread.run_sync, hang_up, limiter=few))
        answer = await visitor.ask("/audio/r1.wav")
        assert len(answer.body) == file.bytes


async def test_too_many_connections_are_not_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One beyond the limit is closed at once; there is room again when others end."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    async with serving(make_talk(tmp_path)) as visitor:
        streams = [await trio.open_tcp_stream("127.0.0.1", visitor.site.port) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        third = await trio.open_tcp_stream("127.0.0.1", visitor.site.port)
        assert await third.receive_some() == b""
        for stream in (*streams, third):
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await visitor.ask("/")).status == 200


async def test_a_port_that_is_taken_is_told() -> None:
    """With what to do."""
    taken = await server.listen()
    port = taken.socket.getsockname()[1]
    with pytest.raises(ConfigurationError, match="another --port"):
        await server.listen(port)
    await taken.aclose()
    assert threading.active_count() < 100
