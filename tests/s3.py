"""A real S3 server for tests: moto's, in a process of its own, on loopback.

It keeps everything in memory and checks no signature. What lies in a bucket is looked at by another
program, boto3. ``tests/s3_faults.py`` has a proxy to stand before it.
"""

import itertools
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pytest

from tests.commands import ROOT

__all__ = ["ACCESS_KEY", "SECRET_KEY", "Bucket", "S3Server", "bucket", "s3_server"]

ACCESS_KEY: Final = "AKIATESTSOFBATCHJOBS"
SECRET_KEY: Final = "S3CRET-of-the-bucket"
_numbers = itertools.count(1)


class Bucket:
    """A bucket as boto3 sees it.

    Args:
        name: The bucket's name; it must be there.
        endpoint: The server's address.
    """

    def __init__(self, name: str, endpoint: str) -> None:
        import boto3  # here: every test's process imports this file

        for library in ("boto3", "botocore", "urllib3"):
            logging.getLogger(library).setLevel(logging.INFO)  # they tell of each step
        self.name = name
        self.endpoint = endpoint
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """The variables by which a command finds the server, or a proxy before it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }

    def url(self, key: str = "") -> str:
        """The address of an object, or of the bucket."""
        return f"s3://{self.name}/{key}"

    def put(self, key: str, body: bytes | str) -> str:
        """Write an object.

        Returns:
            Its ETag, in its quotes.
        """
        content = body.encode() if isinstance(body, str) else body
        return str(self.client.put_object(Bucket=self.name, Key=key, Body=content)["ETag"])

    def read(self, key: str) -> bytes:
        """Read an object."""
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        """The names of all objects, as the server lists them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """All objects, by their names."""
        return {key: self.read(key) for key in self.keys(prefix)}


class S3Server:
    """The server's process: there once it is asked for, and for as long as a pipe to it lasts."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Its address; asking starts it."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.s3"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
                cwd=ROOT,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            self._url = self._process.stdout.readline().strip()
            assert self._url, "moto's server did not start; is the extra `dev` installed?"
        return self._url

    def make_bucket(self) -> Bucket:
        """Make an empty bucket that no other test has."""
        made = Bucket(f"bucket-{os.getpid()}-{next(_numbers)}", self.url)
        made.client.create_bucket(Bucket=made.name)
        return made

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The S3 server of all tests of this process."""
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, which this process, and those that it starts, find by their environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    made = s3_server.make_bucket()
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def serve() -> None:
    """Serve S3 until the standard input ends; the address is printed."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def respond(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # moto looks whether an object is there, and then writes it: of requests at the same time two
        # conditional writes both succeed now and then, which S3 promises that they do not, and others
        # end in a 500 (findings/moto-two-winners.sh).
        with one_at_a_time:
            return list(application(environment, start))

    server = make_server("127.0.0.1", 0, respond, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve()
