"""The ways to the providers of a run: one by each account; the local server where it is needed."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from batchjobs.api.request import Request
from batchjobs.config import Access
from batchjobs.limits import Budget
from batchjobs.notices import address
from batchjobs.notices.signature import SECRET_VARIABLE
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import Provider, check_base_url
from batchjobs.runner.service import OwnLimits
from batchjobs.server.child import local_server
from batchjobs.server.faults import parse_fault
from batchjobs.server.settings import ServerSettings
from batchjobs.session import Endpoint


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to the providers, by the names of their endpoints.

    Attributes:
        endpoints: By each account.
        own_limits: What each may do by itself, of several accounts or of one that has a table.
    """

    endpoints: dict[str, Endpoint]
    own_limits: dict[str, OwnLimits]


async def make_ways(
    request: Request,
    accounts: Mapping[str, Sequence[Access]],
    budgets: Mapping[tuple[str, str], Budget],
    stack: AsyncExitStack,
) -> Ways:
    """Make every endpoint; the local server is started where a provider needs it.

    Args:
        request: What was asked for.
        accounts: Those with each provider, with their keys.
        budgets: Of those accounts that have one, by provider and name.
        stack: Holds the local server.
    """
    ways = Ways({}, {})
    for name, found in accounts.items():
        provider = request.providers[name]
        given = request.base_url if name == request.options.provider else ""
        if not (given or provider.base_url or found[0].account.base_url):
            base_url, key = await _start_local(request, provider, stack)
            ways.endpoints[name] = _make_endpoint(request, provider, base_url, key)
            continue
        for access in found:
            account = access.account
            own = provider.with_account(account)
            url = given or own.base_url
            endpoint = _make_endpoint(request, own, url, access.key, account.shown)
            ways.endpoints[endpoint.name] = endpoint
            if provider.accounts or len(provider.every_account) > 1:
                ways.own_limits[endpoint.name] = OwnLimits(
                    concurrency=account.concurrency, budget=budgets.get((name, account.shown))
                )
    return ways


def _make_endpoint(
    request: Request, provider: Provider, base_url: str, key: str, account: str = ""
) -> Endpoint:
    options = request.options
    return Endpoint(
        provider,
        base_url=check_base_url(base_url, insecure=options.insecure),
        key=key,
        account=account,
        encoding=ChunkEncoding(options.encoding),
        compresses=options.compress,
        library_hooks=options.library_hooks,
    )


async def _start_local(
    request: Request, provider: Provider, stack: AsyncExitStack
) -> tuple[str, str]:
    """Start the local server; gives its address and its key."""
    options = request.options
    server = ServerSettings(
        engine=provider.engine,
        model_folder=options.model_folder,
        faults=tuple(map(parse_fault, options.faults)),
        compresses=options.compress,
    )
    keys = (name for each in request.providers.values() for name in each.key_variables)
    withheld = [*keys, address.VARIABLE, SECRET_VARIABLE]
    child = local_server(server, library_hooks=options.library_hooks, withheld=withheld)
    return await stack.enter_async_context(child), server.token
