"""Where a run stands, also while it goes on."""

from pathlib import Path

from msgspec import field, structs

from batchjobs import config
from batchjobs.api.budget import find_cost_limit, find_larger_limits
from batchjobs.api.request import default_folder
from batchjobs.checkpoint import ORDERS, Checkpoint
from batchjobs.errors import BudgetReachedError, NoRunError
from batchjobs.files import run_folder
from batchjobs.files.address import Address
from batchjobs.options.standing import read_standing
from batchjobs.outputs.left_files import LeftFiles, find_left_files
from batchjobs.outputs.nature import RunNature, find_nature
from batchjobs.outputs.reports import find_last_summary
from batchjobs.outputs.summary import RunSummary, summarise


class RunStatus(RunSummary, frozen=True, kw_only=True):
    """Where a run stands.

    Attributes:
        command: The command that runs its manifest; empty if it was run from Python.
        working_folder: Where that was typed; empty if it is not known.
        is_running: Whether a run goes on in the folder.
        left_files: Results in the folder that belong to no row any more.
        nature: What kind of run it is.
        larger_limits: Where the last run reached a limit: options, and what they have to be for the
            rest.
        paused_since: Unix time since when somebody has paused it, for the next run too; 0 if nobody has.
        cost_limit: Where rows cost more than a row may: what the limit has to be for them.
    """

    command: str
    working_folder: str
    is_running: bool
    left_files: LeftFiles = LeftFiles()
    nature: RunNature = RunNature()
    larger_limits: dict[str, str] = field(default_factory=dict)
    paused_since: float = 0.0
    cost_limit: str = ""


def find_run_of(manifest: Path | Address, *, folder: str | None = None) -> Path:
    """Find the run folder of a manifest, where a run puts it unless it is told otherwise.

    Args:
        manifest: The manifest.
        folder: Where runs are told to be; None means below ``outputs``.

    Raises:
        NoRunError: There is no run, or it is another manifest's.
    """
    there = Path(folder) if folder else default_folder(manifest)
    hint = "name the run's folder, which is what --output was"
    if not (there / run_folder.CHECKPOINT).is_file():
        raise NoRunError(f"{manifest} is no run folder, and has no run in {there}", hint=hint)
    with Checkpoint.read(there) as checkpoint:
        path = checkpoint.read_settings().get("manifest_path", "")
    here = str(manifest) if isinstance(manifest, Address) else str(manifest.absolute())
    if path and path != here:
        raise NoRunError(f"{there} is the run of another manifest, {path}", hint=hint)
    return there


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
        last = None if is_running else find_last_summary(checkpoint)
        is_out = last is not None and last.exit_code == BudgetReachedError.exit_code
        return RunStatus(
            **structs.asdict(summary),
            command=settings.get("command", ""),
            working_folder=settings.get("working_folder", ""),
            is_running=is_running,
            left_files=find_left_files(checkpoint, done=summary.done),
            nature=find_nature(checkpoint),
            paused_since=read_standing(settings.get(ORDERS, "")).paused_since,
            larger_limits=find_larger_limits(checkpoint, providers) if is_out else {},
            cost_limit=find_cost_limit(checkpoint, providers, summary.errors),
        )
