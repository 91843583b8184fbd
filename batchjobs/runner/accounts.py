"""The accounts with one provider: each session goes to one that has room."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from batchjobs.limits import Breaker, Price
from batchjobs.options import Options
from batchjobs.progress import AccountLeft, Observer
from batchjobs.providers import Provider
from batchjobs.runner.learnt import Learnt
from batchjobs.runner.service import Service, Slot, ask_concurrency

_NEVER = float("inf")


class Accounts:
    """One provider's accounts, often a single one; one that is refused takes no more sessions.

    Args:
        services: The provider by each of them; at least one.
        options: The run's.
        tell: Called with an event when an account is of no more use.
        notify: Called when another session may be able to start.
    """

    def __init__(
        self,
        services: Sequence[Service],
        options: Options,
        *,
        tell: Observer,
        notify: Callable[[], None],
    ) -> None:
        self.services = tuple(services)
        self._in_use = list(services)
        self._tell = tell
        self._notify = notify
        self._turns = itertools.count(1)
        self._last_turn = dict.fromkeys(services, 0)
        self._most_in_all = ask_concurrency(self.provider, options)
        self._last_closed = ""

    @property
    def provider(self) -> Provider:
        """The provider; what is an account's own in it is one of theirs."""
        return self.services[0].endpoint.provider

    @property
    def learnt(self) -> Learnt:
        """What is learnt of it by all of them."""
        return self.services[0].learnt

    @property
    def in_use(self) -> Sequence[Service]:
        """Those that take sessions, as far as is known."""
        return [service for service in self._in_use if not service.own.is_spent]

    def allowed(self, now: float) -> int:
        """Give how many sessions may be open now."""
        allowed = sum(service.facts(now).allowed for service in self.in_use)
        return min(allowed, self._most_in_all or allowed)

    @property
    def active(self) -> int:
        """Sessions that hold a slot."""
        return sum(service.active for service in self.services)

    @property
    def most(self) -> int:
        """Sessions that may ever be open."""
        most = sum(service.most for service in self.services)
        return min(most, self._most_in_all or most)

    def limit_concurrency(self, options: Options) -> None:
        """Let other options say how many sessions may be open in all; those that are open go on."""
        self._most_in_all = ask_concurrency(self.provider, options)
        for service in self.services:
            service.limit_concurrency(options)

    def find_breaker(self, account: str) -> Breaker:
        """Find what knows the outages of an account."""
        return next(each.breaker for each in self.services if each.account == account)

    # -- who may start --------------------------------------------------------------------------

    def opens_at(self, now: float, price: Price) -> float:
        """Say from when on a session may start, as far as that is known; infinity if none has room."""
        if self._is_full():
            return _NEVER
        return min(
            (
                each.not_before
                for each in self._fitting(price)
                if each.has_room(now)
                and not (each.own.budget and each.own.budget.has_to_wait(price))
            ),
            default=_NEVER,
        )

    def is_ready(self, now: float, price: Price) -> bool:
        """Whether a session may start now."""
        return self.opens_at(now, price) <= now

    def find_ready(self, now: float, price: Price) -> Service | None:
        """Find who may have the next session: where there is most room, and of equals in turn.

        First comes one of which it is to be seen whether it works.

        Args:
            now: The time.
            price: What the session costs at most, and is set aside in the account's budget.
        """
        ready = [
            each for each in self._fitting(price) if not self._is_full() and each.is_ready(now)
        ]
        ready.sort(
            key=lambda each: (not each.is_in_question, -each.room(now), self._last_turn[each])
        )
        for service in ready:
            own = service.own.budget
            if own is None or own.reserve(price):
                return service
            self._close(service, price)
        return None

    def take_slot(self, service: Service, now: float, price: Price) -> Slot:
        """Count a session that starts now, as `Service.take_slot` does, with one that was found."""
        self._last_turn[service] = next(self._turns)
        return service.take_slot(now, price)

    def _is_full(self) -> bool:
        """Whether as many sessions are open as may be with all accounts."""
        most = self._most_in_all
        if most and self.services[0].pool is not None:
            most = max(1, most // 2)  # the other half are connections opened beforehand
        return bool(most) and self.active >= most

    def _fitting(self, price: Price) -> Iterator[Service]:
        """Give those whose own budget is not used up."""
        return (
            each
            for each in self._in_use
            if each.own.budget is None or not each.own.budget.is_closed_to(price)
        )

    # -- who is of no more use --------------------------------------------------------------------

    def is_closed_to(self, price: Price) -> bool:
        """Whether a session needs more money than any account has left."""
        return next(self._fitting(price), None) is None

    def give_up(self, price: Price) -> str:
        """Have no further sessions with accounts whose own budget never has room for one.

        Returns:
            The last one's limit, in words, if none is left; else empty.
        """
        for service in list(self._fitting(price)):
            self._close(service, price)
        return self._last_closed if self.is_closed_to(price) else ""

    def _close(self, service: Service, price: Price) -> None:
        """Have no further sessions with an account whose own budget never has room for one."""
        own = service.own.budget
        if own is not None and own.give_up(price):
            self._last_closed = f"the budget of {service.account}, {own.limits[0]:.15g}"
            self._tell_left(service, f"{self._last_closed}, has no room left")

    def has_others(self, service: Service) -> bool:
        """Whether there are accounts to go on with besides one."""
        return any(each is not service for each in self.in_use)

    def has_use_for(self, service: Service) -> bool:
        """Whether a session that has a slot with an account may begin: not once it is left."""
        return service in self._in_use

    def leave(self, service: Service, reason: str) -> None:
        """Start no more sessions with an account; those that are open go on.

        Args:
            service: The provider by that account.
            reason: Why.
        """
        if service not in self._in_use:
            return
        self._in_use.remove(service)
        service.close_pool()
        self._tell_left(service, reason)
        self._notify()

    def _tell_left(self, service: Service, reason: str) -> None:
        self._tell(AccountLeft(provider=service.name, account=service.account, message=reason))
