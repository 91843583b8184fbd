"""All that comes before a run: its folder held, its manifest planned, its keys found."""

import dataclasses
import functools
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from batchjobs import config, manifest
from batchjobs.api.budget import advise_on_limits, check_budget, encode_limits
from batchjobs.api.glossary import read_terms
from batchjobs.api.ownership import refuse_replacing
from batchjobs.api.request import Request, input_root, inputs_folder, path_of
from batchjobs.api.voices import refuse_unknown_voice
from batchjobs.checkpoint import ORDERS, Checkpoint
from batchjobs.config import Access
from batchjobs.custody.checkpoint import find_place, open_place, refuse_unclaimed
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    ManifestError,
    OutputError,
    RecordingError,
    UsageError,
)
from batchjobs.files import run_folder
from batchjobs.files.address import Address
from batchjobs.jobs import BadRow, Job, Kind
from batchjobs.manifest.columns import GROUP_COLUMNS
from batchjobs.options.standing import Standing, read_standing
from batchjobs.planning.fingerprint import fingerprint_of
from batchjobs.planning.make_plan import RowsMeetError, plan_more
from batchjobs.planning.make_plan import make_plan as plan_rows
from batchjobs.planning.plan import Plan
from batchjobs.process import signals
from batchjobs.progress import Observer, shield_observer
from batchjobs.providers import Provider

if TYPE_CHECKING:
    from batchjobs.quality.glossary import Term

_REFUSALS: Final = (ManifestError, ConfigurationError, OutputError, UsageError)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run that can begin.

    Attributes:
        request: What was asked for.
        checkpoint: The run folder's, held.
        plan: What there is to do.
        accounts: The accounts with every provider that the plan uses, with their keys.
        absent: Of them, those whose keys are not there, by provider and name: why.
        facts: What the checkpoint is to keep about the run.
        observe: Gets every event.
        standing: What was ordered of it before, and holds; the request's options are with it.
        terms: Of the glossary, if there is one.
    """

    request: Request
    checkpoint: Checkpoint
    plan: Plan
    accounts: Mapping[str, Sequence[Access]]
    facts: Mapping[str, str]
    observe: Observer
    standing: Standing
    terms: Sequence["Term"] = ()
    absent: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What has been added to a manifest whose other rows are adopted.

    Attributes:
        lines: The rows, JSON Lines.
        above: How many lines stand above them.
        looks_back: Whether to decide anew about the adopted rows that are not done.
    """

    lines: bytes
    above: int
    looks_back: bool


@contextmanager
def open_run_folder(request: Request) -> Iterator[Checkpoint]:
    """Hold the run folder; leaves no trace of a run that was refused before it began."""
    existed = request.folder.exists()
    options = request.options
    # Before signals are noted: a store that is away is asked for a while, and nothing is open yet.
    place = find_place(request.folder, request.address, insecure=options.insecure)
    with signals.note_first() as noted:
        checkpoint = open_place(place, take_over=options.take_over)
    with checkpoint, closing(request.files):
        request.files.keep_in(request.folder / run_folder.FETCHED)
        try:
            if noted.number:
                raise signals.Interrupted(noted.number)  # noqa: TRY301  # leaves no trace either
            yield checkpoint
        except (Exception, KeyboardInterrupt) as error:
            # A program's rows may raise anything.
            is_refused = isinstance(error, _REFUSALS) or not isinstance(error, BatchjobsError)
            if is_refused and not existed and not checkpoint.has_begun():
                checkpoint.leave_no_trace()
                checkpoint.close()
                request.files.close()
                for file in request.folder.glob(f"{run_folder.CHECKPOINT}*"):
                    file.unlink(missing_ok=True)
                request.folder.rmdir()
            raise


def prepare(
    request: Request,
    checkpoint: Checkpoint,
    observe: Observer | None,
    progress: Callable[[int], None] | None = None,
    growth: Growth | None = None,
) -> PreparedRun:
    """Plan a run, find its keys and extras, and look at its limits; nothing is spent or changed.

    Args:
        request: What was asked for.
        checkpoint: The run folder's.
        observe: Gets every event; None if nobody listens.
        progress: Called with the number of rows checked so far.
        growth: What has been added to the manifest, if the rest of it is adopted.
    """
    if request.options.workers is not None or request.options.cluster:
        from batchjobs.api.elsewhere import check_cluster

        check_cluster(request.options)
    glossary = request.options.glossary
    terms = () if glossary is None else read_terms(glossary)  # before anything is spent
    standing = find_standing(request, checkpoint)
    request = apply_standing(request, standing)
    plan, kept = make_plan(request, checkpoint, progress, growth)
    if any(use.kind is Kind.TTS and _is_over_http(request, use.provider) for use in plan.uses):
        from batchjobs.session import require_http

        require_http()
    if not plan.to_do:  # what was paused is over
        standing = structs.replace(standing, paused_since=0.0)
    accounts, absent = _find_accounts(request, plan)
    check_budget(request, plan, checkpoint)
    return PreparedRun(
        request=request,
        checkpoint=checkpoint,
        plan=plan,
        accounts=accounts,
        absent=absent,
        facts=_facts_of(request, kept, plan) | _facts_of_orders(standing, checkpoint),
        standing=standing,
        observe=shield_observer(observe),
        terms=terms,
    )


@contextmanager
def stage_plan(
    request: Request, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[Checkpoint, Plan]]:
    """Make a plan that nobody carries out; its rows are staged in the checkpoint for as long.

    Args:
        request: What was asked for.
        progress: Called with the number of rows checked so far.
    """
    folder = request.folder
    exists = (folder / run_folder.CHECKPOINT).is_file()
    if request.address is not None:
        refuse_unclaimed(folder, request.address, insecure=request.options.insecure)
    known = Checkpoint.read(folder) if exists else Checkpoint.none(folder)
    with known as checkpoint, closing(request.files):
        request = apply_standing(request, find_standing(request, checkpoint))
        made, _ = make_plan(request, checkpoint, progress, is_adopted=False)
        check_budget(request, made, checkpoint)
        yield checkpoint, made


def make_plan(
    request: Request,
    checkpoint: Checkpoint,
    progress: Callable[[int], None] | None,
    growth: Growth | None = None,
    *,
    is_adopted: bool = True,
) -> tuple[Plan, str]:
    """Plan.

    Args:
        request: What was asked for.
        checkpoint: The run folder's.
        progress: Called with the number of rows checked so far.
        growth: What has been added to the manifest, if the rest of it is adopted.
        is_adopted: Whether the plan is to be adopted.

    Returns:
        The plan; and the fingerprint under which the same manifest need not be read again, if it is.
    """
    plan = functools.partial(_plan_rows, request, checkpoint, progress, is_adopted=is_adopted)
    try:
        return plan(growth)
    except RowsMeetError:
        return plan(None)


def _plan_rows(
    request: Request,
    checkpoint: Checkpoint,
    progress: Callable[[int], None] | None,
    growth: Growth | None,
    *,
    is_adopted: bool,
) -> tuple[Plan, str]:
    options = request.options
    notes = manifest.Notes()
    known = checkpoint.read_settings()
    # A manifest's bytes take a fifteenth of a plan's time to hash.
    before = _fingerprint(request) if is_adopted or known.get("fingerprint") else ""
    rows = _read_rows(request, notes, growth)
    if growth is None:
        plan = plan_rows(
            rows,
            checkpoint=checkpoint,
            providers=request.providers,
            options=options,
            name=request.name,
            fingerprint=before,
            inputs_folder=inputs_folder(request),
            progress=progress,
            files=request.files,
        )
    else:
        plan = plan_more(
            rows,
            checkpoint=checkpoint,
            providers=request.providers,
            options=options,
            name=request.name,
            looks_back=growth.looks_back,
            inputs_folder=inputs_folder(request),
            progress=progress,
            files=request.files,
        )
    refuse_unknown_voice(request, plan)
    refuse_replacing(request, checkpoint, plan)
    # What changed while it was read is not what the fingerprint of before stands for; nor is a
    # manifest that has grown, where the rows above were not.
    is_known = bool(before) and before == known.get("fingerprint")
    was_read = not is_known or growth is not None
    is_told = (
        is_adopted
        and plan.tells_all
        and (not was_read or _fingerprint(request) == before)
        and (growth is None or bool(known.get("fingerprint")))
    )
    told = (*notes.tell(request.name), *plan.notes)
    if is_known:  # it was not read, being as it was
        told = tuple(known.get("notes", "").splitlines())
    plan = dataclasses.replace(plan, notes=told, advice=advise_on_limits(request, plan))
    return plan, before if is_told else ""


def _read_rows(
    request: Request, notes: manifest.Notes, growth: Growth | None
) -> Iterator[Job | BadRow | manifest.PlainPage]:
    """Read the manifest, or what has been added to it, with the lines on which that stands."""
    if growth is not None and not growth.lines:
        return
    rows = manifest.read_pages(
        request.source if growth is None else io.BytesIO(growth.lines),
        name=request.name,
        folder=request.manifest_folder,
        providers=request.providers,
        defaults=request.options.speech,
        input_root=input_root(request),
        files=request.files,
        notes=notes,
    )
    if growth is None:
        yield from rows
        return
    for item in rows:
        if isinstance(item, Job):
            yield structs.replace(item, line=item.line + growth.above)
        elif isinstance(item, BadRow):
            yield replace(item, line=item.line + growth.above)
        else:
            yield replace(item, first_line=item.first_line + growth.above)


def _fingerprint(request: Request) -> str:
    """Tell the manifest and what its rows are made with from others; empty for a stream or rows."""
    source, folder = request.source, request.manifest_folder
    if not isinstance(source, Path | Address):
        return ""
    try:
        told = source if isinstance(source, Path) else request.files.look_up(str(source))
    except RecordingError:  # it is not there, as whoever opens it is told
        return ""
    options = request.options
    return fingerprint_of(
        told,
        request.name,
        folder if isinstance(folder, Address) else folder.resolve(),
        input_root(request),
        request.providers,
        options.provider,
        options.speech,
        options.audio_format,
        GROUP_COLUMNS,  # which earlier versions did not know
        options.pause_layout,
    )


def _facts_of(request: Request, fingerprint_kept: str, plan: Plan) -> dict[str, str]:
    """Give what the checkpoint keeps about this run, for `status` and for the next plan."""
    return {
        "fingerprint": fingerprint_kept,
        "limits": encode_limits(request.options),
        "notes": "\n".join(plan.notes),
        "manifest": request.name,
        "manifest_path": path_of(request),
        "folder": str(request.folder.absolute()),
        "provider": request.options.provider,
        "command": request.options.command,
        "working_folder": _working_folder(),
        "planned_at": str(time.time()),
    }


def find_standing(request: Request, checkpoint: Checkpoint) -> Standing:
    """Find what was ordered of a run while it went on; what the command now says otherwise goes first."""
    content = checkpoint.read_settings().get(ORDERS, "")
    return read_standing(content).keep_for(request.options)


def apply_standing(request: Request, standing: Standing) -> Request:
    """Give a request with the settings that were changed while its run went on."""
    return dataclasses.replace(request, options=standing.apply(request.options))


def _facts_of_orders(standing: Standing, checkpoint: Checkpoint) -> dict[str, str]:
    is_known = ORDERS in checkpoint.read_settings()
    return {ORDERS: standing.encode()} if is_known else {}


def _working_folder() -> str:
    """Say where we are; empty if that is gone, or its name is no text."""
    try:
        here = str(Path.cwd())
        here.encode()
    except (OSError, UnicodeEncodeError):
        return ""
    return here


def _is_over_http(request: Request, provider: str) -> bool:
    return request.providers[provider].speaks_over_http


def _refuse_without_address(request: Request, provider: Provider) -> None:
    """Refuse a key from a file where only the accounts say where to go: the local server is not meant."""
    has_own = any(account.base_url for account in provider.every_account)
    if has_own and not (request.base_url or provider.base_url):
        raise ConfigurationError(
            f"--key-file takes the place of all accounts with '{provider.name}', and only these "
            "have a 'base_url'",
            hint="give --base-url, or the provider a 'base_url'",
        )


def _find_accounts(
    request: Request, plan: Plan
) -> tuple[dict[str, Sequence[Access]], dict[str, Mapping[str, str]]]:
    """Find the accounts with every provider that the plan uses, and which of them are gone without.

    Raises:
        ConfigurationError: A key is missing or cannot be read.
    """
    accounts: dict[str, Sequence[Access]] = {}
    absent: dict[str, Mapping[str, str]] = {}
    for name in (*plan.providers, *plan.copied_providers):
        provider = request.providers[name]
        key_file = request.options.key_file if name == request.options.provider else None
        if key_file is not None:
            _refuse_without_address(request, provider)
        # Of those that are copied from, only needed if what is to be copied turns out to be damaged.
        is_needed = name in plan.providers
        found, absent[name] = config.find_access(
            provider, key_file=key_file, environment=os.environ, is_needed=is_needed
        )
        if not found and provider.engine:
            found = [config.Access(account=provider.every_account[0], key="")]
        if found:
            accounts[name] = found
    return accounts, absent
