"""A folder that is watched for good: what arrives below it is transcribed."""

import dataclasses
from pathlib import Path

import trio

from batchjobs.api.notifying import notifying, notifying_within_trio
from batchjobs.api.prepare import open_run_folder
from batchjobs.api.request import Request, request_of
from batchjobs.api.watching import Teller, Watch, WatchReport
from batchjobs.errors import UsageError
from batchjobs.manifest.scan import default_manifest
from batchjobs.options import Options, check_settings
from batchjobs.options.watching import WatchSettings
from batchjobs.process import signals
from batchjobs.progress import Observer


def watch(
    folder: str | Path,
    options: Options | None = None,
    settings: WatchSettings | None = None,
    *,
    observe: Observer | None = None,
    tell: Teller | None = None,
) -> WatchReport:
    """Transcribe what is in a folder and what arrives there, until a signal or an error ends it.

    Args:
        folder: The folder.
        options: As for `run`; rows that cannot be run never end a watch.
        settings: How it is watched.
        observe: Gets every event, in the event loop: must be quick.
        tell: Called with a sentence about what a person should know.

    Returns:
        How it ended: `WatchReport.error` says what ended it.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it; its results are written by then. SIGTERM and SIGHUP
            likewise mean to the program what they did before, once they are.
        UsageError: An option is out of its range.
        ManifestError: The folder cannot be read, or its manifest is none of recordings.
        RunLockedError: Another run or watch holds the run folder.
        ConfigurationError: A setting is wrong.
        BatchjobsError: Anything else that keeps it from starting.
    """
    report = carry_out_watch(folder, options, settings, observe=observe, tell=tell)
    signals.pass_on(report.signal_number)
    return report


def carry_out_watch(
    folder: str | Path,
    options: Options | None = None,
    settings: WatchSettings | None = None,
    *,
    observe: Observer | None = None,
    tell: Teller | None = None,
) -> WatchReport:
    """Watch as `watch` does, but leave a signal in the report: the command line has more to say first.

    Args:
        folder: As for `watch`.
        options: As for `watch`.
        settings: As for `watch`.
        observe: As for `watch`.
        tell: As for `watch`.
    """
    if trio.lowlevel.in_trio_run():
        raise UsageError(
            "batchjobs.watch was called within an event loop of trio",
            hint="await batchjobs.watch_async(…) there",
        )
    settings = settings or WatchSettings()
    request = request_of_watch(Path(folder), options or Options(), settings)
    with (
        notifying(request, is_watch=True) as notifier,
        open_run_folder(request) as checkpoint,
    ):
        watch = Watch(
            Path(folder),
            request,
            checkpoint,
            settings=settings,
            observe=observe,
            tell=tell,
            notifier=notifier,
        )
        return trio.run(watch.run)


async def watch_async(
    folder: str | Path,
    options: Options | None = None,
    settings: WatchSettings | None = None,
    *,
    observe: Observer | None = None,
    tell: Teller | None = None,
) -> WatchReport:
    """Watch a folder from within trio; as `watch`, but leaves signals to the caller.

    Cancelling it is safe: it continues where it was when called again.

    Raises:
        UsageError: It is awaited outside trio, or an option is out of its range.
        BatchjobsError: As for `watch`.
    """
    if not trio.lowlevel.in_trio_task():
        raise UsageError(
            "batchjobs.watch_async was awaited outside trio",
            hint="call batchjobs.watch(…); from asyncio: await asyncio.to_thread(batchjobs.watch, …)",
        )
    settings = settings or WatchSettings()
    request = request_of_watch(Path(folder), options or Options(), settings)
    async with notifying_within_trio(request, is_watch=True) as notifier:
        with open_run_folder(request) as checkpoint:
            watch = Watch(
                Path(folder),
                request,
                checkpoint,
                settings=settings,
                observe=observe,
                tell=tell,
                notifier=notifier,
            )
            return await watch.run(heeds_signals=False)


def request_of_watch(folder: Path, options: Options, settings: WatchSettings) -> Request:
    """Make a watch's runs definite, or refuse it; looks at nothing but the settings and the folder.

    Args:
        folder: The folder.
        options: How to run what arrives.
        settings: How the folder is watched.

    Raises:
        UsageError: An option is out of its range, or a folder stands where it must not.
        BatchjobsError: As for `run`.
    """
    check_settings(settings)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="give a folder of recordings")
    if settings.done_folder is not None:
        done, watched = settings.done_folder.resolve(), folder.resolve()
        if watched.is_relative_to(done):
            raise UsageError(
                f"--done-folder {settings.done_folder} is {folder}, or holds it",
                hint="give a folder of its own; it may stand below the one that is watched",
            )
    manifest = settings.manifest or default_manifest(folder)
    root = None
    if not folder.resolve().is_relative_to(manifest.parent.resolve()):
        root = folder
    options = dataclasses.replace(
        options, skip_bad_rows=True, input_root=root, limit=None, pilot=0.0, select="all"
    )
    request = request_of(manifest, options)
    if request.address is not None:
        raise UsageError(
            "a watch keeps its results on this machine",
            hint="give a folder as --output; or 'scan' and 'run' what is there into a bucket",
        )
    return request
