"""A program elsewhere that takes messages, and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

__all__ = ["TOKEN", "Receiver", "receiver"]

TOKEN = "T0KEN-of-the-hook"


class Receiver:
    """A program that takes messages, and answers as it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.hangs = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append((dict(self.headers), body))
                receiver.hangs.wait()
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.hangs.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/{TOKEN}?to=me"

    def events(self) -> list[str]:
        """What the messages say, each once."""
        found = {json.loads(body)["id"]: json.loads(body)["event"] for _, body in self.messages}
        return list(found.values())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that is there."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.hangs.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()
