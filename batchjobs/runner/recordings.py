"""Recordings at hand: one in a bucket is fetched before a session, and stays as long as that."""

from contextlib import ExitStack

import trio

from batchjobs.files.address import is_address
from batchjobs.runner.state import RunState
from batchjobs.storage.reading import FileFacts


async def fetch(run: RunState, audio: str, held: ExitStack) -> str:
    """Give the path at which a recording can be read.

    Args:
        run: The run.
        audio: Its path, or its address.
        held: Ends its stay, if it was fetched.

    Raises:
        RecordingError: It is gone, or is another one than was planned for.
        BatchjobsError: It cannot be fetched.
    """
    if not is_address(audio):
        return audio

    def lend() -> str:
        source = run.checkpoint.lookups.find_source(audio)
        facts = None if source is None else FileFacts(source.bytes, source.modified_ns)
        file = held.enter_context(run.files.borrow(audio, facts, is_last=True))
        return str(file.path)

    # A run that is cut off does not wait; whatever comes then is removed with the rest.
    return await trio.to_thread.run_sync(lend, abandon_on_cancel=True)
