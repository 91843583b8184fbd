#!/usr/bin/env bash
# obstore's calls that block, and Ctrl-C.
#
# One would guess: a call such as obstore.get(…) waits like any call of Python's that reads from a socket: Ctrl-C
# interrupts it, and a KeyboardInterrupt comes out. Libraries in Rust check for signals while they wait
# (PyErr_CheckSignals), so that nobody has to know.
#
# It is not so: the call returns when the request has ended, and the KeyboardInterrupt comes after that. With the
# settings that the library comes with, a store that accepts connections and does not answer (a firewall, a server that is
# stopped) holds the program for up to three minutes of retries, each of 30 seconds, whatever is pressed. The
# same request by obstore.get_async in a loop of asyncio, in a thread, is given up at once: the main thread waits for a
# future, which Ctrl-C does interrupt, and cancelling that future closes the connection. Then the program should not end
# within the next milliseconds: one of the library's threads still has to tell Python that the request is over, and if
# the interpreter is gone by then it prints a panic with a stack trace ("The Python interpreter is not
# initialized"); the exit code stays what it was.
#
# Seen on 2026-11-28 with obstore 0.12.1 and CPython 3.11 on Linux, retries limited to 6 s to be short; source:
# this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet obstore==0.12.1

cat > "$work/interrupt.py" <<'PYTHON'
import asyncio
import os
import signal
import socket
import threading
import time
from datetime import timedelta
from importlib.metadata import version

import obstore
from obstore.store import S3Store

listener = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
store = S3Store(
    "b",
    endpoint="http://127.0.0.1:%d" % listener.getsockname()[1],
    access_key_id="a",
    secret_access_key="b",
    client_options={"allow_http": True, "timeout": timedelta(seconds=6)},
    retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=6)},
)
print("obstore", version("obstore"))


def measure(what, wait):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    try:
        try:
            wait()
        except obstore.exceptions.BaseError as error:
            print(f"{what}: the request ended by itself:", str(error).splitlines()[0][-40:])
        time.sleep(0.1)
    except KeyboardInterrupt:
        pass
    seconds = time.monotonic() - began
    print(f"{what}: interrupted after {seconds:.1f} s; Ctrl-C was pressed after 1.0 s")
    return seconds


assert measure("obstore.get             ", lambda: obstore.get(store, "x")) > 5

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


async def get():
    return await obstore.get_async(store, "x")


def wait():
    future = asyncio.run_coroutine_threadsafe(get(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


assert measure("get_async, with a future", wait) < 3
time.sleep(0.5)  # see above
PYTHON
"$work/venv/bin/python" "$work/interrupt.py"
