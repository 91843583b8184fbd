"""The S3 server of the tests, and the proxy that breaks what passes to it."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from tests.s3 import ACCESS_KEY, Bucket
from tests.s3_faults import Act, Fault, fault_proxy

NAME = "أصوات/السَّلامُ عَلَيْكُمـ ١٢ \u200d+%20#1 (mixed نص).wav"

SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261128/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=0"
)
WRITE = """
import sys, urllib.request
sys.stdin.readline()
signed = {"Authorization": sys.argv[2], "Content-Type": "audio/wav"}
urllib.request.urlopen(
    urllib.request.Request(sys.argv[1], method="PUT", data=b"A", headers=signed)
)
"""


def request(
    url: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Make one request with the standard library."""
    signed = {"Authorization": SIGNED, "Content-Type": "audio/wav"} | headers
    made = urllib.request.Request(f"{url}/{path}", method=method, data=body, headers=signed)
    try:
        with urllib.request.urlopen(made) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_names_and_bytes_come_back(bucket: Bucket) -> None:
    """What boto3 writes it reads, under a name of every script and sign."""
    tag = bucket.put(NAME, "مرحبا")
    bucket.put("empty", b"")
    assert tag.startswith('"')
    assert bucket.objects() == {NAME: "مرحبا".encode(), "empty": b""}
    bucket.delete("empty")
    assert bucket.keys() == [NAME]


def test_one_of_many_conditional_writes_wins(bucket: Bucket) -> None:
    """A write that is to make an object succeeds once, however many come at the same time."""
    statuses: list[int] = []

    def write(number: int) -> None:
        once = {"If-None-Match": "*"}
        path = f"{bucket.name}/one"
        statuses.append(request(bucket.endpoint, path, "PUT", b"%d" % number, **once)[0])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 23


def test_the_proxy_is_not_noticed(bucket: Bucket) -> None:
    """Through a proxy without faults everything arrives as it was sent."""
    with fault_proxy(bucket.endpoint) as proxy:
        through = Bucket(bucket.name, proxy.url)
        body = os.urandom(300_000)
        through.put(NAME, body)
        through.put("empty", b"")
        assert through.objects() == {NAME: body, "empty": b""}
        assert through.client.head_object(Bucket=bucket.name, Key=NAME)["ContentLength"] == 300_000
        through.delete("empty")
        assert proxy.count("PUT") == 2
        assert proxy.count("PUT", r"/empty$") == 1
        assert [seen.status for seen in proxy.requests if seen.method == "DELETE"] == [204]
    assert bucket.read(NAME) == body


def test_a_rule_strikes_at_its_request_only(bucket: Bucket) -> None:
    """The second read of one object is refused; the others go through."""
    bucket.put("a", b"A")
    bucket.put("b", b"B")
    refuse = Fault(act=Act.ANSWER, at=2, method="GET", target="/a$", status=503)
    with fault_proxy(bucket.endpoint, refuse) as proxy:
        paths = [f"{bucket.name}/{key}" for key in "abaab"]
        answers = [request(proxy.url, path) for path in paths]
    assert [status for status, _ in answers] == [200, 200, 503, 200, 200]
    assert b"<Code>SlowDown</Code>" in answers[2][1]


@pytest.mark.parametrize(("act", "is_written"), [(Act.DROP_BEFORE, False), (Act.DROP_AFTER, True)])
def test_a_lost_answer_is_not_a_lost_request(bucket: Bucket, act: Act, is_written: bool) -> None:
    """A connection closes without an answer, before the write is done or after."""
    with fault_proxy(bucket.endpoint, Fault(act=act, method="PUT")) as proxy:
        with pytest.raises(OSError, match=r"closed|reset"):
            request(proxy.url, f"{bucket.name}/a", "PUT", b"A")
        assert proxy.requests[0].status == 0
    assert bucket.objects() == ({"a": b"A"} if is_written else {})


def test_a_body_is_cut(bucket: Bucket) -> None:
    """Half of an object arrives, under a head that announces all of it."""
    bucket.put("a", b"A" * 1000)
    with fault_proxy(bucket.endpoint, Fault(act=Act.CUT)) as proxy:
        with pytest.raises(http.client.IncompleteRead, match="500 bytes read, 500 more expected"):
            request(proxy.url, f"{bucket.name}/a")
        assert proxy.requests[0].sent_bytes == 500


@pytest.mark.parametrize(("act", "is_written"), [(Act.KILL_BEFORE, False), (Act.KILL_AFTER, True)])
def test_a_process_is_killed_at_a_request(bucket: Bucket, act: Act, is_written: bool) -> None:
    """A process dies before its write arrives, or after it was done."""
    fault = Fault(act=act, method="PUT")
    with fault_proxy(bucket.endpoint, fault) as proxy:
        address = f"{proxy.url}/{bucket.name}/a"
        with subprocess.Popen(
            [sys.executable, "-c", WRITE, address, SIGNED], stdin=subprocess.PIPE
        ) as process:
            proxy.victim = process.pid
            process.communicate(b"\n")
    assert process.returncode == -signal.SIGKILL
    assert bucket.objects() == ({"a": b"A"} if is_written else {})


def test_something_happens_at_a_request(bucket: Bucket) -> None:
    """An object changes at the very moment it is asked for."""
    bucket.put("a", b"A")
    change = Fault(act=Act.CALL, hook=lambda: bucket.put("a", b"B"))
    with fault_proxy(bucket.endpoint, change, Fault(act=Act.DELAY, at=2, seconds=0.01)) as proxy:
        path = f"{bucket.name}/a"
        assert [request(proxy.url, path), request(proxy.url, path)] == [(200, b"B")] * 2
