"""Forks runs on request, so that one can be killed milliseconds after it began.

    python -m tests.faults.zygote

Reads a JSON line for each run, answers with its process's id at once and with its exit code at its
end.
"""

import functools
import gc
import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import soundfile
import trio_websocket

from batchjobs.api import execute
from batchjobs.api.accept import accept
from batchjobs.api.run import run
from batchjobs.errors import BatchjobsError
from batchjobs.limits import RetryPolicy
from batchjobs.options import Defaults, Options
from tests.faults.sabotage import plant

__all__ = ["hurried_policy", "options_of"]

LOADED = (np, soundfile, trio_websocket)  # what a run imports as it goes

hurried_policy = functools.partial(RetryPolicy, base_seconds=0.02, limit_seconds=0.2)
"""Retries wait a fiftieth of their time: days of edits have to fit into a minute."""


def options_of(request: dict[str, str]) -> Options:
    """Give the options that a request stands for."""
    return Options(
        base_url=request["base_url"],
        output=Path(request["output"]),
        concurrency=int(request["concurrency"]),
        attempts=int(request["attempts"]),
        audio_format=request["audio_format"],
        skip_bad_rows=True,
        retry_failed=bool(request["retry_failed"]),
        speech=Defaults(voice_id=request["voice"]),
    )


def _become(request: dict[str, str]) -> None:
    """Run a manifest and exit as the command would; never returns."""
    code = 70
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        plant(execute, "RetryPolicy", hurried_policy)
        if request.get("command") == "accept":
            code = int(bool(accept(Path(request["output"]), every=True).damaged))
        else:
            code = run(Path(request["manifest"]), options_of(request)).exit_code
    except BatchjobsError as error:
        code = error.exit_code
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> int:
    """Serve requests until the standard input ends."""
    gc.freeze()  # a run's collector looks at what is its own
    pid = 0
    for line in sys.stdin:
        if pid:  # until now its id was nobody else's: whoever kills it late strikes no stranger
            os.waitpid(pid, 0)
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
        print(pid, flush=True)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        is_code = ended.si_code == os.CLD_EXITED
        print(ended.si_status if is_code else -ended.si_status, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
