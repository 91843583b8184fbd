"""No key goes to a server that cannot show who it is, by a redirect, or over a plain connection."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.clocks import PATIENCE_SECONDS
from tests.faults.commands import command, run_command, write_manifest
from tests.faults.keys import CANARY, FORMS, provider


@dataclass(slots=True)
class Listener:
    """A plain socket server that answers each connection with some bytes, and keeps what it got."""

    answer: bytes
    context: ssl.SSLContext | None = None
    connections: int = 0
    raw: bytearray = field(default_factory=bytearray)
    decrypted: bytearray = field(default_factory=bytearray)

    @contextlib.contextmanager
    def listening(self) -> Iterator[int]:
        """Listen for as long as the block lasts; gives the port."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=self._serve, args=(server,))
            thread.start()
            try:
                yield server.getsockname()[1]
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join(PATIENCE_SECONDS)

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.connections += 1
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self.context is None:
            while b"\r\n\r\n" not in self.raw:
                self.raw += connection.recv(4096) or b"\r\n\r\n"
            connection.sendall(self.answer)
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        is_open = False
        while b"\r\n\r\n" not in self.decrypted:
            try:
                if is_open:
                    self.decrypted += tls.read(4096)
                else:
                    tls.do_handshake()
                    is_open = True
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                received = connection.recv(4096)
                if not received:
                    return
                self.raw += received
                incoming.write(received)
        tls.write(self.answer)
        connection.sendall(outgoing.read())


def _context(case: str, authority: trustme.CA) -> ssl.SSLContext:
    past = dt.datetime.now(tz=dt.UTC) - dt.timedelta(days=2)
    certificate = {
        "good": lambda: authority.issue_cert("127.0.0.1"),
        "expired": lambda: authority.issue_cert("127.0.0.1", not_after=past),
        "wrong host": lambda: authority.issue_cert("api.munsit.com"),
        "self-signed": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }[case]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("case", "bug", "expected"),
    [
        ("good", "", 77),
        ("expired", "", 69),
        ("wrong host", "", 69),
        ("self-signed", "", 69),
        ("self-signed", "anyone-trusted", 77),
        ("expired", "anyone-trusted", 77),
    ],
)
def test_no_key_goes_to_a_server_that_cannot_show_who_it_is(
    tmp_path: Path, case: str, bug: str, expected: int
) -> None:
    """Expired, wrong host, self-signed: 69 after one connection, and no byte inside of the TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    listener = Listener(answer=refusal, context=_context(case, authority))
    manifest = write_manifest(tmp_path / "rows.csv", 3)
    with listener.listening() as port:
        provider("query", f"wss://127.0.0.1:{port}/api/v1", tmp_path)
        done = run_command(
            command("run", manifest, "-p", "service", broken=bug),
            cwd=tmp_path,
            expect=expected,
            SERVICE_API_KEY=CANARY,
            SSL_CERT_FILE=str(tmp_path / "authority.pem"),
        )
    is_told = bool(FORMS.search(listener.decrypted.decode("latin-1")))
    assert is_told is (case == "good" or bool(bug))  # the control: the key is seen where it arrives
    assert not FORMS.search(listener.raw.decode("latin-1"))
    assert listener.connections == 1
    if expected == 69:
        assert "certificate" in done.stderr


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_never_followed(tmp_path: Path, status: int) -> None:
    """A service that sends us elsewhere gets 69, and elsewhere gets no connection and no key."""
    elsewhere = Listener(answer=b"HTTP/1.1 200 OK\r\n\r\n")
    manifest = write_manifest(tmp_path / "rows.csv", 3)
    with elsewhere.listening() as other:
        location = f"ws://127.0.0.1:{other}/api/v1/websocket/text-to-speech"
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        service = Listener(answer=head.encode())
        with service.listening() as port:
            provider("header", f"ws://127.0.0.1:{port}/api/v1", tmp_path)
            words = command("run", manifest, "-p", "service")
            done = run_command(words, cwd=tmp_path, expect=69, SERVICE_API_KEY=CANARY)
    assert FORMS.search(service.raw.decode("latin-1"))  # the control
    assert service.connections == 1
    assert (elsewhere.connections, bytes(elsewhere.raw)) == (0, b"")
    assert "redirects" in done.stderr


def test_a_key_goes_over_no_plain_connection_to_another_machine(tmp_path: Path) -> None:
    """ws:// to anything but loopback is refused with 78 before any look-up."""
    provider("query", "wss://127.0.0.1:1/api/v1", tmp_path)
    manifest = write_manifest(tmp_path / "rows.csv", 1)
    words = command("run", manifest, "-p", "service", "--base-url", "ws://192.0.2.1/api/v1")
    done = run_command(words, cwd=tmp_path, expect=78, SERVICE_API_KEY=CANARY)
    assert "--insecure" in done.stderr
