#!/usr/bin/env bash
# obstore: a conditional write whose answer is lost.
#
# One would guess: put(…, mode="create") is the atomic "first one wins" of object stores: it raises
# AlreadyExistsError if, and only if, somebody else's object is there. If the connection breaks before the
# answer comes, it raises an error that says that nobody knows; or it tries again and finds out.
#
# It tries again, and takes its own object for somebody else's. A request that was done, and whose answer was
# lost (or came as a 500 from something in between), is sent again by the library itself, and the store says,
# rightly, 412. What the caller gets is AlreadyExistsError; with mode={"e_tag": …} likewise PreconditionError.
# Who has just won an election, or published a result, is told that another did, and a program that believes it
# deletes or waits for its own work. Nothing in the error tells the two apart but the words "after 1 retries"
# in its text. So before it is believed, what is there has to be read and compared.
#
# Seen on 2026-11-28 with obstore 0.12.1 against a server of thirty lines below, which keeps what is put and
# hangs up once; source: this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet obstore==0.12.1

cat > "$work/lost.py" <<'PYTHON'
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import obstore
from obstore.store import S3Store

objects = {}
puts = []


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        there = objects.get(self.path)
        wanted = self.headers.get("If-Match")
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        puts.append(self.path)
        if (self.headers.get("If-None-Match") == "*" and there) or (wanted and there != wanted):
            self.send_response(412)
        else:
            objects[self.path] = tag
            if puts.count(self.path) == 1 and "lost" in self.path:
                self.close_connection = True  # done, and the answer is lost
                return
            self.send_response(200)
            self.send_header("ETag", tag)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store(
    "b", endpoint=f"http://127.0.0.1:{server.server_port}", access_key_id="a", secret_access_key="b",
    client_options={"allow_http": True},
)
print("obstore", version("obstore"))


def attempt(what, name, mode):
    try:
        obstore.put(store, name, b"mine", mode=mode)
        told = "done"
    except Exception as error:
        told = type(error).__name__
    path = f"/b/{name}"
    print(f"{what:34} {told:20} sent {puts.count(path)} times; there is: {objects.get(path)}")
    return told


mine = f'"{hashlib.md5(b"mine").hexdigest()}"'
assert attempt("create, answer comes", "clean", "create") == "done"
assert attempt("create, answer is lost", "lost", "create") == "AlreadyExistsError"
assert objects["/b/lost"] == mine
objects["/b/lost-update"] = '"before"'
assert attempt("update, answer is lost", "lost-update", {"e_tag": '"before"'}) == "PreconditionError"
assert objects["/b/lost-update"] == mine
print("in both cases the object that is there is our own, and nobody else has written")
PYTHON
"$work/venv/bin/python" "$work/lost.py"
