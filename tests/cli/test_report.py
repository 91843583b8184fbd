"""The command `report`: says what it wrote, and what it left out."""

import http.client
import json
import re
import signal
import subprocess
from pathlib import Path

from tests.api.test_page import make_small_run
from tests.builders import ARABIC
from tests.clocks import PATIENCE_SECONDS
from tests.commands import Command, process
from tests.report.listened import make_clip_row, make_done, make_run, write_clip


def test_it_says_where_the_page_is(command: Command) -> None:
    """For people, and as JSON for programs."""
    run = make_small_run(Path("outputs/talks"))
    ended = command("report", run)
    assert ended.code == 0
    assert "1 row in outputs/talks/report.html" in ended.out
    told = json.loads(command("report", run, "--json").out)
    assert told["path"] == "outputs/talks/report.html"
    assert (told["rows"], told["shown"]) == (1, 1)


def test_it_says_what_it_leaves_out(command: Command) -> None:
    """Nothing is left out in silence."""
    run = Path("outputs/talks")
    files = [write_clip(run, f"audio/r{number}.wav") for number in (1, 2, 3)]
    rows = [make_clip_row(number, ARABIC) for number in (1, 2, 3)]
    make_run(run, rows, [make_done(number, file) for number, file in enumerate(files, 1)])
    ended = command("report", run, "--rows", 2)
    assert "2 rows in" in ended.out
    assert "1 are left out" in ended.out


def test_no_run_is_told(command: Command) -> None:
    """With the exit code of a wrong call."""
    ended = command("report", "outputs/none")
    assert ended.code == 2
    assert "no run" in ended.err


def test_it_serves_until_it_is_told_to_stop(command: Command, tmp_path: Path) -> None:
    """At the address that it prints; the token is in no log, and the decisions are named at the end."""
    run = make_small_run(Path("outputs/talks"))
    arguments = ("report", run, "--serve")
    with process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as served:
        assert served.stdout is not None
        found = re.fullmatch(r"open http://127\.0\.0\.1:(\d+)/#(\S+)\n", served.stdout.readline())
        assert found is not None
        port, token = int(found[1]), found[2]
        host = f"127.0.0.1:{port}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/enter", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        connection.request(
            "POST",
            "/decisions",
            body=json.dumps({"id": "r1", "decision": "accept"}),
            headers={"Cookie": cookie, "Origin": f"http://{host}"},
        )
        assert connection.getresponse().status == 200
        connection.close()
        served.send_signal(signal.SIGINT)
        out, err = served.communicate(timeout=PATIENCE_SECONDS)
    assert served.returncode == -signal.SIGINT
    assert "review outputs/talks outputs/talks/review.jsonl" in out
    assert token not in out + err
    assert command("review", run, run / "review.jsonl").code == 0
