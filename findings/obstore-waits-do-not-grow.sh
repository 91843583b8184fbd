#!/usr/bin/env bash
# obstore: how long a request is tried again.
#
# One would guess: the documented defaults (a first wait of 100 ms, twice as long each time, 15 s at most) reach
# 15 s at the eighth try, so with max_retries=24 and retry_timeout=10 minutes a store that is busy is waited for
# for some four minutes, and with max_retries=60 the ten minutes decide.
#
# The waits do not grow. Each is drawn at random between the first wait and twice the last one that was drawn
# ("decorrelated jitter"): every short draw brings the next ones down again, so they wander around half a second
# and come near 15 s hardly ever. 24 tries are over after some 12 s, 60 after some 30: it is the count that ends
# a request, long before the time that one has set, and an outage of a minute ends what was to outlive ten. To
# be tried for a given time, set max_retries so high that it is never met, and let retry_timeout decide.
# Giving the same backoff in so many words changes nothing.
#
# Seen on 2026-11-29 with obstore 0.12.1 against a server that answers 503; source: this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet obstore==0.12.1

cat > "$work/busy.py" <<'PYTHON'
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import obstore
from obstore.store import S3Store

TRIES = 24
asked_at = []


class Busy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked_at.append(time.monotonic())
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("obstore", version("obstore"))
growing = [min(0.1 * 2**number, 15.0) for number in range(TRIES)]
print(f"waits that double would come to {sum(growing):.0f} s, the last of them 15 s")
backoff = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=15),
    "base": 2,
}
for said, more in (("by default", {}), ("with the same backoff given", {"backoff": backoff})):
    asked_at.clear()
    store = S3Store(
        "bucket",
        endpoint=f"http://127.0.0.1:{server.server_port}",
        access_key_id="id",
        secret_access_key="secret",
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": TRIES, "retry_timeout": timedelta(minutes=10), **more},
    )
    try:
        obstore.put(store, "name", b"content")
    except Exception as error:
        print(f"{said}: {type(error).__name__}")
    waits = [after - before for before, after in zip(asked_at, asked_at[1:])]
    print(f"  {len(waits)} waits of", " ".join(f"{wait:.1f}" for wait in waits))
    print(f"  {sum(waits):.0f} s in all")
    assert len(waits) == TRIES
    assert sum(waits) < sum(growing) / 3
    assert any(after < before / 2 for before, after in zip(waits, waits[1:])), "they do grow"
PYTHON
"$work/venv/bin/python" "$work/busy.py"
