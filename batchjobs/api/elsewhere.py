"""Sessions in other processes, if a run is to have them there: which cluster, and what it is told."""

import itertools
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio

from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.cluster.crew import Crew
from batchjobs.cluster.link import ClusterSettings, join_cluster, require_cluster
from batchjobs.cluster.messages import Opening, Site
from batchjobs.errors import ConfigurationError, UsageError
from batchjobs.files import run_folder
from batchjobs.files.address import is_address
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import Kind
from batchjobs.options import Options
from batchjobs.planning.plan import TO_BUY
from batchjobs.process.signals import SignalNote
from batchjobs.providers import LOOPBACK
from batchjobs.session import Endpoint

_SCHEMES: Final = ("tcp", "tls")
_LOOKED_THROUGH: Final = 1_000
"""So many rows for a recording."""


def check_cluster(options: Options) -> None:
    """Refuse a cluster that could not be used, or not safely.

    Raises:
        UsageError: Two options contradict each other.
        ConfigurationError: An extra is missing, or the way to the cluster is open to others.
    """
    if options.workers is None and not options.cluster:
        return
    if options.workers is not None and options.cluster:
        raise UsageError("--workers and --cluster are two ways", hint="give one of them")
    if options.preopen:
        raise UsageError(
            "--preopen is for one process: workers open no connections beforehand",
            hint="leave it out, or --workers and --cluster",
        )
    if options.cluster:
        _check_address(options)
    require_cluster()


def _check_address(options: Options) -> None:
    address = urlsplit(options.cluster)
    if address.scheme not in _SCHEMES or not address.hostname:
        raise ConfigurationError(
            f"'{options.cluster}' is not the address of a cluster's scheduler",
            hint="give tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine",
        )
    files = (options.cluster_ca, options.cluster_cert, options.cluster_key)
    if address.scheme == "tls":
        if None in files:
            raise ConfigurationError(
                "a cluster with tls:// needs certificates",
                hint="give --cluster-ca, --cluster-cert and --cluster-key",
            )
        _check_papers(options)
    elif any(files):
        raise ConfigurationError(
            f"certificates are for a cluster with tls://, and {options.cluster} has none",
            hint="give its address with tls://, or leave out --cluster-ca, --cluster-cert and --cluster-key",
        )
    elif address.hostname not in LOOPBACK:
        raise ConfigurationError(
            f"{options.cluster} is another machine, and tcp:// is open to all between",
            hint="use tls:// with --cluster-ca, --cluster-cert and --cluster-key",
        )


def _check_papers(options: Options) -> None:
    """See that the certificates can be used: Dask would say that no cluster answers.

    Raises:
        ConfigurationError: One cannot.
    """
    ca, certificate, key = options.cluster_ca, options.cluster_cert, options.cluster_key
    assert ca is not None
    assert certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise _bad_paper("--cluster-ca", ca, error) from error
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        shown = f"--cluster-cert {certificate} with --cluster-key"
        raise _bad_paper(shown, key, error) from None  # nothing of a key is to be shown


def _refuse_password() -> str:
    raise ValueError("it needs a password, and Dask takes none")


def _bad_paper(shown: str, path: Path | None, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or error
    return ConfigurationError(f"{shown} {path} cannot be used: {reason}")


@asynccontextmanager
async def have_crew(
    request: Request,
    endpoints: Mapping[str, Endpoint],
    checkpoint: Checkpoint,
    noted: SignalNote | None,
) -> AsyncIterator[Crew | None]:
    """Have workers for a run that asks for some, for as long as the block lasts.

    Args:
        request: What was asked for.
        endpoints: The ways to the providers.
        checkpoint: Holds the staged rows.
        noted: Signals that came so far: after one, no worker is waited for.

    Raises:
        BatchjobsError: There is no such cluster, or none of its workers can be used.
    """
    options = request.options
    if options.workers is None and not options.cluster:
        yield None
        return
    _refuse_own_server(options.cluster, endpoints)
    settings = ClusterSettings(
        workers=0 if options.workers is None else options.workers or os.cpu_count() or 1,
        address=options.cluster,
        ca=options.cluster_ca,
        certificate=options.cluster_cert,
        key=options.cluster_key,
    )
    folder = request.folder.resolve()
    token = secrets.token_hex(8)
    is_sealed = bool(settings.workers) or options.cluster.startswith("tls://")
    opening = Opening(
        token=token,
        folder=str(folder),
        note=str(folder / run_folder.WORKERS),
        sites=tuple(
            _make_site(name, endpoint, options, is_sealed=is_sealed)
            for name, endpoint in endpoints.items()
        ),
        recording=await trio.to_thread.run_sync(_find_recording, checkpoint),
    )
    note = folder / run_folder.WORKERS
    await trio.to_thread.run_sync(write_whole, note, token.encode())
    crew = Crew(endpoints)
    try:
        async with join_cluster(settings, opening, crew, noted or SignalNote()):
            yield crew
    finally:
        note.unlink(missing_ok=True)


def _refuse_own_server(cluster: str, endpoints: Mapping[str, Endpoint]) -> None:
    """Refuse a server of this machine for workers of others: each would look for it on its own.

    Raises:
        ConfigurationError: It is that.
    """
    if not cluster or urlsplit(cluster).hostname in LOOPBACK:
        return
    for name, endpoint in endpoints.items():
        if endpoint.provider.engine and urlsplit(endpoint.base_url).hostname in LOOPBACK:
            raise ConfigurationError(
                f"the server of '{name}' is on this machine, where the workers at {cluster} do not find it",
                hint="start 'batchjobs serve' where they reach it, and give its --base-url",
            )


def _find_recording(checkpoint: Checkpoint) -> str:
    """Give a recording that workers have to see; empty if none is near the beginning.

    One in a bucket is fetched into the run folder, which they see.
    """
    for row in itertools.islice(checkpoint.staging.stream(TO_BUY), _LOOKED_THROUGH):
        if row.kind == Kind.STT:
            audio = row.read_job().audio
            return "" if is_address(audio) else str(Path(audio).absolute())
    return ""


def _make_site(name: str, endpoint: Endpoint, options: Options, *, is_sealed: bool) -> Site:
    """Say how a host is to reach a provider: with a key only on a line that nobody else reads.

    The key of the local server is of this run alone, and leads to this machine.
    """
    is_sent = is_sealed or bool(endpoint.provider.engine)
    return Site(
        name=name,
        provider=endpoint.provider,
        base_url=endpoint.base_url,
        key=endpoint.key if is_sent else None,
        encoding=options.encoding,
        compresses=options.compress,
        library_hooks=options.library_hooks,
    )
