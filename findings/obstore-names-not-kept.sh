#!/usr/bin/env bash
# obstore and names of objects that are valid in S3.
#
# One would guess: a key is any UTF-8 of up to 1,024 bytes, and a client of object stores either hands a
# key on as it is, or refuses it. So `get` reads the object that it is asked for, and `list` shows what is
# there.
#
# It is not so. A slash at either end is cut off without a word: `get(store, "a/")` reads the object `a`, and
# `put(store, "a/", …)` replaces it, though `a/` is another object (every console makes such ones, empty, for
# folders). `list` shows `a` twice where `a` and `a/` are there, with two sizes. `get(store, "")` succeeds:
# it brings the bucket's listing, XML, as if it were an object. And one key with an empty part (`x//y`, what
# a script makes of a variable that is empty), with a part `.` or `..`, or with a tab, makes `list` of
# everything around it fail: no other object below that prefix can be listed at all. On a LocalStore a name
# that ends in `#1` is refused, which S3Store takes, since files of writes under way are called so there.
#
# Seen on 2026-11-28 with obstore 0.12.1 (object_store in Rust), against moto's S3 server 5.2.5, keys made and
# listed by boto3; source: this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet obstore==0.12.1 moto==5.2.5 flask==3.1.3 flask-cors==6.0.5

cat > "$work/names.py" <<'PYTHON'
import logging
import tempfile
from importlib.metadata import version

import boto3
import obstore
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore, S3Store

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
endpoint = "http://{}:{}".format(*server.get_host_and_port())
keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
client = boto3.client(
    "s3", endpoint_url=endpoint, **{f"aws_{k}": v for k, v in keys.items() if k != "region"},
    region_name="us-east-1",
)
print("obstore", version("obstore"), "moto", version("moto"))


def bucket(name, **objects):
    client.create_bucket(Bucket=name)
    for key, body in objects.items():
        client.put_object(Bucket=name, Key=key, Body=body)
    return S3Store(name, endpoint=endpoint, client_options={"allow_http": True}, **keys)


def listed(store):
    try:
        return [(each["path"], each["size"]) for page in obstore.list(store) for each in page]
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


store = bucket("slashes", **{"a": b"the object a", "a/": b"", "/a": b"with a slash before it"})
print("boto3 lists:         ", [each["Key"] for each in client.list_objects_v2(Bucket="slashes")["Contents"]])
print("obstore lists:       ", listed(store))
for key in ("a/", "/a"):
    print(f"get {key!r}:            ", bytes(obstore.get(store, key).bytes()))
    assert bytes(obstore.get(store, key).bytes()) == b"the object a"
print("get '':              ", bytes(obstore.get(store, "").bytes())[:58], "…")
obstore.put(store, "a/", b"replaced")
assert client.get_object(Bucket="slashes", Key="a")["Body"].read() == b"replaced"
print("put 'a/' replaced:    'a'")

for odd in ("x//y", "x/./y", "x\ty"):
    store = bucket(f"odd-{ord(odd[1])}-{ord(odd[2])}", **{"good 1": b"1", "good 2": b"2", odd: b"3"})
    told = listed(store)
    print(f"list beside {odd!r}:", told[:96], "…")
    assert told.startswith("InvalidPathError")

with tempfile.TemporaryDirectory() as folder:
    obstore.put(store, "take #1", b"x")
    try:
        obstore.put(LocalStore(folder), "take #1", b"x")
    except Exception as error:
        print("'take #1': taken by S3Store; by LocalStore:", type(error).__name__, str(error).splitlines()[0][:80])
    else:
        raise AssertionError
server.stop()
PYTHON
"$work/venv/bin/python" "$work/names.py"
