"""A second signal while somebody does what can be done about it: soon over, one way or the other."""

import signal
import subprocess
import sys

from tests.clocks import PATIENCE_SECONDS
from tests.commands import ROOT

_BEGIN = """
import os, signal, threading, time
from batchjobs.process.signals import note_first

def interrupt(times):
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)

"""


def run(program: str) -> tuple[int, str]:
    """Run a program, and give its end and what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_second_signal_that_is_heeded_ends_nothing_at_once() -> None:
    """Who heeds it is told; once all is done the process lives, and nothing is left that would end it."""
    code, said = run("""
with note_first() as noted:
    with noted.heed_second():
        interrupt(2)
        print(noted.number == signal.SIGINT, noted.is_urgent)
print([each for each in threading.enumerate() if getattr(each, "finished", None) and not each.finished.is_set()])
""")
    assert (code, said) == (0, "True True\n[]\n")


def test_who_heeds_it_and_hangs_all_the_same_is_ended() -> None:
    """After a moment; and a third signal does not wait for that."""
    for times in (2, 3):
        code, said = run(f"""
with note_first() as noted, noted.heed_second():
    print("begun", flush=True)
    interrupt({times})
    time.sleep({PATIENCE_SECONDS})
""")
        assert (code, said) == (-signal.SIGINT, "begun\n")


def test_where_nobody_heeds_it_a_second_signal_ends_the_process() -> None:
    """Before that and after it."""
    for heeds in ("", "\n    with noted.heed_second(): pass"):
        code, said = run(f"""
with note_first() as noted:{heeds}
    print("begun", flush=True)
    interrupt(2)
    time.sleep({PATIENCE_SECONDS})
""")
        assert (code, said) == (-signal.SIGINT, "begun\n")
