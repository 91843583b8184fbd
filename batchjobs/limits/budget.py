"""What a run may spend: reserved before a session starts, settled after, never exceeded."""

import math
from dataclasses import dataclass
from typing import Final

LIMIT_OPTIONS: Final = ("--budget", "--max-characters", "--max-audio")
"""What sets the limits, in the order of a `Price`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one session costs at most: money, characters sent, seconds of audio sent."""

    money: float = 0.0
    characters: int = 0
    audio_seconds: float = 0.0


class Budget:
    """Counts what was spent and what is promised, and refuses what would not fit.

    Args:
        money: Limit in the provider's currency; infinity for none.
        characters: Limit of characters sent.
        audio_seconds: Limit of seconds of audio sent.
        spent: What earlier runs in the folder have spent already.
    """

    def __init__(
        self,
        *,
        money: float = math.inf,
        characters: float = math.inf,
        audio_seconds: float = math.inf,
        spent: Price | None = None,
    ) -> None:
        self._limits = (money, characters, audio_seconds)
        spent = spent or Price()
        self._spent = [spent.money, float(spent.characters), spent.audio_seconds]
        self._reserved = [0.0, 0.0, 0.0]
        self._reservations = 0
        self._closed: set[int] = set()
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often the limits were changed: what had no room may have some since."""
        return self._changes

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(math.isfinite(limit) for limit in self._limits)

    @property
    def spent(self) -> Price:
        """What was spent, over all runs in the folder."""
        money, characters, seconds = self._spent
        return Price(money=money, characters=int(characters), audio_seconds=seconds)

    @property
    def limits(self) -> tuple[float, float, float]:
        """The limits, in the order of a `Price`."""
        return self._limits

    def change(self, money: float, characters: float, audio_seconds: float) -> None:
        """Set other limits; those that were given up are open again, until they have no room either.

        Args:
            money: As at the beginning, and so are the others.
            characters: Limit of characters sent.
            audio_seconds: Limit of seconds of audio sent.
        """
        self._limits = (money, characters, audio_seconds)
        self._closed.clear()
        self._changes += 1

    def reserve(self, price: Price) -> bool:
        """Set a session's price aside.

        Returns:
            Whether it fits; if not, nothing was set aside.
        """
        amounts = _amounts(price)
        if any(
            _exceeds(limit, spent + reserved, amount)
            for limit, spent, reserved, amount in zip(
                self._limits, self._spent, self._reserved, amounts, strict=True
            )
        ):
            return False
        self._reserved = [
            held + amount for held, amount in zip(self._reserved, amounts, strict=True)
        ]
        self._reservations += 1
        return True

    def give_up(self, price: Price) -> str:
        """Close every limit that will never have room for a session, to all that come after it.

        Returns:
            The option that sets the first such limit, with its value; empty if there is none: the
            session may fit once others are settled.
        """
        closed = [
            index
            for index, (limit, spent, amount) in enumerate(
                zip(self._limits, self._spent, _amounts(price), strict=True)
            )
            if _exceeds(limit, spent, amount)
        ]
        self._closed.update(closed)
        return f"{LIMIT_OPTIONS[closed[0]]} {self._limits[closed[0]]:.15g}" if closed else ""

    def has_to_wait(self, price: Price) -> bool:
        """Whether a session may fit, but not before others are settled."""
        amounts = _amounts(price)
        used = [spent + held for spent, held in zip(self._spent, self._reserved, strict=True)]
        return any(map(_exceeds, self._limits, used, amounts)) and not any(
            map(_exceeds, self._limits, self._spent, amounts)
        )

    def is_closed_to(self, price: Price) -> bool:
        """Whether a session needs anything of a limit that was given up."""
        amounts = _amounts(price)
        return any(amounts[index] for index in self._closed)

    @property
    def is_given_up(self) -> bool:
        """Whether any limit was found to have no room."""
        return bool(self._closed)

    def settle(self, reserved: Price, actual: Price) -> None:
        """Put what a session has cost in the place of what was set aside for it."""
        self._reservations -= 1
        for index, (held, cost) in enumerate(
            zip(_amounts(reserved), _amounts(actual), strict=True)
        ):
            self._reserved[index] -= held
            self._spent[index] += cost
        if not self._reservations:
            self._reserved = [0.0, 0.0, 0.0]


def _amounts(price: Price) -> tuple[float, float, float]:
    return price.money, float(price.characters), price.audio_seconds


def _exceeds(limit: float, used: float, amount: float) -> bool:
    """Whether a limit has no room; sums of floats stray: one met to nine digits is met."""
    return bool(amount) and used + amount > limit * (1 + 1e-9)
