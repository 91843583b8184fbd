"""The command `serve`: the local speech server in the foreground."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from batchjobs.cli.console import die_of, exit_on_error, say, set_logging
from batchjobs.cli.options import SETTINGS, LocalPath, config_option, option, setting_option
from batchjobs.errors import BatchjobsError
from batchjobs.process.tuning import tune_process
from batchjobs.providers import DEFAULT_ENGINE, DEFAULT_HOST


@click.command()
@option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="0: any free one.",
)
@option(
    "--engine",
    default=DEFAULT_ENGINE,
    show_default=True,
    help="auto, espeak or pocketsphinx: these two; tone: exact, needs nothing; sherpa: your own model.",
)
@option(
    "--model-folder",
    type=LocalPath(file_okay=False, exists=True, path_type=Path),
    help="Recognition model, for sherpa.",
)
@option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="Misbehave on purpose: NAME[:ARGUMENT][@PROBABILITY][#SESSIONS]; may be repeated.",
)
@option("--seed", type=int, help="Decides which sessions a fault strikes.")
@option("--pace", type=click.FloatRange(min=0), help="Stream audio at X times real time.")
@option("--session-limit", type=click.IntRange(min=1), help="Sessions open at once.")
@option(
    "--ledger",
    type=LocalPath(dir_okay=False, path_type=Path),
    help="Write a JSON line for each session's start and end.",
)
@option(
    "--key-file",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help="File with the key to ask for.  [default: BATCHJOBS_LOCAL_KEY, or a new one each time]",
)
@option("--compress", is_flag=True, help="Take compression from clients that offer it.")
@setting_option(SETTINGS["library_hooks"])
@option("-v", "--verbose", count=True, help="Say more.")
@config_option
def serve(
    *,
    faults: tuple[str, ...],
    key_file: Path | None,
    verbose: int,
    compress: bool,
    library_hooks: bool,
    config: Path | None,
    **given: object,
) -> None:
    """Serve the same protocol as the hosted services, on this machine.

    It prints its address and the key to use.

    \b
    Examples:
        batchjobs serve
        batchjobs serve --engine tone --fault drop@0.1 --fault error:42901#3

    \b
    Faults to rehearse with, e.g. 'drop', 'error:50001', 'slow:0.1@0.2' (a fifth of the sessions),
    'silent#2' (the first two sessions):
        drop                resets the TCP connection in mid-audio
        hang                stops sending in mid-audio and keeps the connection
        throttle[:N]        error 42901 when more than N sessions are open
        throttle-handshake[:SECONDS]  HTTP 429 with Retry-After
        garbage             sends messages that are not JSON
        truncate            sends 40 % of the audio, then closes with 1000
        slow[:FACTOR]       sends at FACTOR times real time
        error[:CODE]        an error in mid-audio; error-string[:CODE] has the code as a string
        close[:CODE]        closes with CODE in mid-audio
        silent              initialises, then never sends a result
        mute                accepts the connection and never answers anything
        handshake[:STATUS]  refuses the connection with HTTP STATUS
        silence             digital silence of the right length
        half-sample         ends in half a sample
        rate-change         names another sample rate from the second message on
    """
    from batchjobs import config as configuration
    from batchjobs.server.faults import parse_fault
    from batchjobs.websocket import masking

    set_logging(verbose, quiet=False)
    tune_process()
    with exit_on_error():
        local = configuration.load(config).providers["local"]
        token = configuration.read_key(local, key_file=key_file, environment=os.environ)
        if library_hooks:
            masking.install_fast_masker()
        settings = {name: value for name, value in given.items() if value is not None}
        settings |= {"compresses": compress, "faults": tuple(map(parse_fault, faults))}
        _serve(token, settings)


def _serve(token: str, given: Mapping[str, object]) -> None:
    import functools
    import secrets

    import trio

    from batchjobs.server.app import serve as serve_sessions
    from batchjobs.server.settings import ServerSettings

    settings = ServerSettings(
        token=token or secrets.token_urlsafe(24),
        **given,  # type: ignore[arg-type]
    )

    async def foreground() -> None:
        async with trio.open_nursery() as nursery:
            try:
                base_url = await nursery.start(functools.partial(serve_sessions, settings))
            except BatchjobsError as error:
                refused.append(error)
                return
            say(f"serving {settings.engine} at {base_url}")
            if not token:
                say(f"export BATCHJOBS_LOCAL_KEY={settings.token}")
            say(f"batchjobs run MANIFEST --base-url {base_url}")
            sys.stdout.flush()
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                async for number in received:
                    nursery.cancel_scope.cancel()
                    stopped.append(number)
                    return

    refused: list[BatchjobsError] = []
    stopped: list[int] = []
    trio.run(foreground)
    if refused:
        raise refused[0]
    if stopped:
        die_of(stopped[0])
