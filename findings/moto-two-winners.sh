#!/usr/bin/env bash
# moto's S3 server and conditional writes at the same time.
#
# One would guess: a server that answers If-None-Match: * with 412 once an object is there is fit to test locks and
# elections with: of many that create the same object at the same time one wins, as S3 promises.
#
# It is not so. The server has a thread for each request, and moto looks whether the object is there, and then writes
# it, without a lock between the two. Now and then two are told 200, and both believe that they hold the lock; others, more rarely, get a
# 500, since the object that they have written is closed by the next one before its ETag is worked out. With
# Python's usual switch between threads it is rare enough to pass for a flaky test of one's own; with a short one it shows
# within seconds. A lock around the application, one request at a time, gives the promise back.
#
# Seen on 2026-11-29 with moto 5.2.5, flask 3.1.3, werkzeug 3.1.9; source: this output. moto/s3/responses.py,
# put_object: get_object for the condition, put_object for the write.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet moto==5.2.5 flask==3.1.3 flask-cors==6.0.5 werkzeug==3.1.9

cat > "$work/winners.py" <<'PYTHON'
import contextlib
import io
import logging
import sys
import threading
import urllib.error
import urllib.request
from importlib.metadata import version

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
sys.setswitchinterval(1e-6)
CLIENTS = 12
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261129/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "Content-Type": "audio/wav",
}
print("moto", version("moto"))


def put(url, body=b"", **headers):
    request = urllib.request.Request(url, method="PUT", data=body, headers=SIGNED | headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def play(application, most_rounds, name):
    """Let many create the same object; gives the rounds that were played and those with two winners."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bucket = f"http://127.0.0.1:{server.server_port}/{name}"
    put(bucket)
    rounds, once, twice, broken = 0, 0, 0, 0
    while rounds < most_rounds and twice < 2:
        statuses, start = [], threading.Barrier(CLIENTS)

        def create(number):
            start.wait()
            condition = {"If-None-Match": "*"}
            statuses.append(put(f"{bucket}/{rounds}", b"%d" % number, **condition))

        threads = [threading.Thread(target=create, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rounds += 1
        once += statuses.count(200) == 1
        twice += statuses.count(200) > 1
        broken += statuses.count(500)
    server.shutdown()
    return rounds, once, twice, broken


moto = DomainDispatcherApplication(create_backend_app)
with contextlib.redirect_stderr(io.StringIO()):
    rounds, _, twice, broken = play(moto, 2_000, "without")
print(f"as it comes: {rounds} rounds, {twice} of them with two winners, {broken} answers of 500")
assert twice

lock = threading.Lock()


def one_at_a_time(environment, start):
    with lock:
        return list(moto(environment, start))


rounds, once, twice, broken = play(one_at_a_time, 60, "with")
print(f"with a lock: {rounds} rounds, {twice} of them with two winners, {broken} answers of 500")
assert once == rounds
PYTHON
"$work/venv/bin/python" "$work/winners.py"
