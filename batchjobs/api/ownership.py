"""Whose finished work a folder holds: what would replace it by mistake is refused."""

import os
from collections.abc import Mapping
from pathlib import Path

from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import UsageError
from batchjobs.files.address import Address
from batchjobs.formatting import GIVEN_ROWS, plural
from batchjobs.jobs import Kind
from batchjobs.planning.intact import is_intact
from batchjobs.planning.plan import Plan, Superseded


def refuse_replacing(request: Request, checkpoint: Checkpoint, plan: Plan) -> None:
    """Stop before results that were paid for, or another manifest's, are replaced by mistake.

    An edited manifest is meant. Another one, under another path or from the standard input, may be
    meant: then `Options.replace` says so. Results that stay as they are, and rows that are new, are
    no loss, whichever manifest has them.

    Args:
        request: What was asked for.
        checkpoint: The run folder's.
        plan: What there is to do.

    Raises:
        UsageError: They would be.
    """
    for (held, wanted), rows in plan.replaced.items():
        raise UsageError(
            f"{rows:,} finished results of the provider '{held}' would be replaced by"
            f" '{wanted}', which their rows do not name",
            hint=f"give --provider {held}, or another --output; or move their files away",
        )
    for one in plan.superseded:
        if one.kind is Kind.STT or not request.options.speech.model_id:
            raise _superseded_error(one)
    settings = checkpoint.read_settings()
    other = Path(settings.get("manifest_path", ""))
    if request.options.replace or not checkpoint.has_begun():
        return
    if _is_same(request, settings):
        return
    loss = _loss(checkpoint, plan, is_other_there=other.is_file())
    if loss:
        whose = f"another manifest, {other}"
        if other == Path():
            is_given = settings.get("manifest") == GIVEN_ROWS
            whose = "rows that a program gave" if is_given else "rows from the standard input"
        raise UsageError(
            f"{request.folder} is the run of {whose}: {loss}",
            hint="give --replace if they are the same rows, edited; if not, give these a folder of "
            "their own with --output",
        )


def _superseded_error(one: Superseded) -> UsageError:
    """Refuse to buy again what was bought under the default of before; say how, either way."""
    if one.kind is Kind.TTS:
        what, before = "speech", one.model
        hint = f"give --model {one.model} to go on with it, or --model {one.wanted} to buy it again"
    else:
        what, before = "transcription", one.model or "no model named"
        hint = (
            f'set stt_model = "{one.model}" in batchjobs.toml, [providers.{one.provider}], to go on'
            " with it, or give another --output to buy it again"
        )
    return UsageError(
        f"the finished {what} of {plural(one.rows, 'row')} was made by {one.provider} with {before},"
        f" the default then; with {one.wanted}, the default now, it would be bought again",
        hint=hint,
    )


def _is_same(request: Request, settings: Mapping[str, str]) -> bool:
    """Whether the manifest is the one that was run last, in the folder that the run had then.

    Also by another way to its file, and where both were moved or copied to another place together.
    """
    if isinstance(request.source, Address):
        return str(request.source) == settings.get("manifest_path")
    if not isinstance(request.source, Path):
        return False
    other, folder = Path(settings.get("manifest_path", "")), Path(settings.get("folder", ""))
    here, there = request.folder.absolute(), request.source.absolute()
    if folder != Path() and os.path.relpath(there, here) == os.path.relpath(other, folder):
        return True
    try:
        return there == other or there.samefile(other)
    except OSError:
        return False


def _loss(checkpoint: Checkpoint, plan: Plan, *, is_other_there: bool) -> str:
    """Say what this manifest would do to the other one's finished work; empty if nothing.

    What it merely does not name stays where it is, but is in no report any more: a loss to those
    who still have the manifest that names it.
    """

    def is_there(record: JobRecord) -> bool:
        return is_intact(checkpoint.shelf, record)

    replaced = checkpoint.staging.count_replaced(is_there)
    if replaced:
        return f"{plural(replaced, 'finished result')} would be replaced"
    if plan.orphans and is_other_there:
        return f"{plural(plan.orphans, 'finished job')} would be in no report any more"
    return ""
