"""What a choice takes of a manifest, as a manifest of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchjobs.api.prepare import stage_plan
from batchjobs.api.request import Request, request_of
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import OutputError, UsageError
from batchjobs.files.address import Address
from batchjobs.files.atomic import write_whole
from batchjobs.manifest import Source
from batchjobs.options import Options
from batchjobs.planning.plan import TO_BUY, Plan


class Selection(NamedTuple):
    """What a choice took of a manifest.

    Attributes:
        plan: What a run of it would do.
        path: The manifest of what was taken.
        folder: The run folder, which knows what is done.
        input_root: Where its recordings and texts are, if that is not beside it; empty if it is.
    """

    plan: Plan
    path: Path
    folder: Path
    input_root: str = ""


def write_selection(
    source: str | Source,
    options: Options,
    target: Path | None = None,
    *,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Selection:
    """Write the rows that `Options.select` takes as a manifest beside their own; spends nothing.

    What is chosen of a manifest in a bucket stands here: its rows' files are below `Options.input_root` then.

    Rows come as they were, with the same ids: run with the same output folder, they are not bought
    again by their own manifest.

    Args:
        source: The manifest, as for `run`.
        options: As for `run`.
        target: The file to write, in the manifest's folder, as rows' paths are relative to that;
            named after the manifest if None.
        replace: Whether a file that is there may go.
        progress: Called with the number of rows checked so far.

    Raises:
        OutputError: There is a file already.
        UsageError: The manifest has no name, and `target` is not given or is elsewhere; or it is in a
            bucket, and its rows' files may be in a second place.
        BatchjobsError: As `plan`.
    """
    request = request_of(source, options)
    path = target or _name_target(request)
    root = ""
    if isinstance(request.manifest_folder, Address):
        root = str(request.manifest_folder)
        if options.input_root is not None and str(options.input_root) != root:
            raise UsageError(
                f"what is chosen of {request.name} would need two places for its rows' files",
                hint="copy the manifest here, and choose from that",
            )
    elif path.parent.resolve() != request.manifest_folder.resolve():
        raise UsageError(
            f"{path} is not in the manifest's folder, which the rows' paths are relative to",
            hint=f"give a file in {request.manifest_folder}",
        )
    if path.exists() and not replace:
        raise OutputError(f"{path} is there already", hint="give another file, or --force")
    with stage_plan(request, progress) as (checkpoint, made):
        write_whole(path, _list_lines(checkpoint))
    return Selection(made, path, request.folder, root)


def _name_target(request: Request) -> Path:
    if not isinstance(request.source, Path | Address):
        raise UsageError(
            "the rows have no name to call the chosen ones by", hint="give a file for them: --to"
        )
    stem = Path(request.source.name.removesuffix(".gz")).stem
    name = f"{stem}.{request.options.select}.jsonl"
    return Path(name) if isinstance(request.source, Address) else request.source.with_name(name)


def _list_lines(checkpoint: Checkpoint) -> Iterator[bytes]:
    for row in checkpoint.staging.stream(TO_BUY):
        job = row.read_job()
        yield msgspec.json.encode({"id": row.id, **job.row}) + b"\n"
