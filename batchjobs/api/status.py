"""Where a run stands, also while it goes on."""

from pathlib import Path

from msgspec import structs

from batchjobs import config
from batchjobs.checkpoint import Checkpoint
from batchjobs.outputs.left_files import LeftFiles, find_left_files
from batchjobs.outputs.summary import RunSummary, summarise


class RunStatus(RunSummary, frozen=True, kw_only=True):
    """Where a run stands.

    Attributes:
        command: The command that runs its manifest; empty if it was run from Python.
        working_folder: Where that was typed; empty if it is not known.
        is_running: Whether a run goes on in the folder.
        left_files: Results in the folder that belong to no row any more.
    """

    command: str
    working_folder: str
    is_running: bool
    left_files: LeftFiles = LeftFiles()


def status(folder: str | Path, *, config_file: Path | None = None) -> RunStatus:
    """Count where a run stands, also while it goes on.

    Args:
        folder: The run folder.
        config_file: Where prices are set; None means ``batchjobs.toml`` here.

    Raises:
        NoRunError: There is no run in the folder.
    """
    providers = config.load(config_file).providers
    with Checkpoint.read(Path(folder)) as checkpoint:
        is_running = checkpoint.is_running()
        settings = checkpoint.read_settings()
        summary = summarise(checkpoint, providers, is_running=is_running)
        return RunStatus(
            **structs.asdict(summary),
            command=settings.get("command", ""),
            working_folder=settings.get("working_folder", ""),
            is_running=is_running,
            left_files=find_left_files(checkpoint, done=summary.done),
        )
