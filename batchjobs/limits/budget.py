"""What a run may spend: reserved before a session starts, settled after, never exceeded."""

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["Budget", "Price"]

_OPTIONS: Final = ("--budget", "--max-characters", "--max-audio")


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

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(math.isfinite(limit) for limit in self._limits)

    @property
    def has_reservations(self) -> bool:
        """Whether sessions are open whose price is not settled yet."""
        return self._reservations > 0

    @property
    def spent(self) -> Price:
        """What was spent, over all runs in the folder."""
        money, characters, seconds = self._spent
        return Price(money=money, characters=int(characters), audio_seconds=seconds)

    def reserve(self, price: Price) -> bool:
        """Set a session's price aside.

        Returns:
            Whether it fits; if not, nothing was set aside.
        """
        if self.lacking(price):
            return False
        self._reserved = [
            held + amount for held, amount in zip(self._reserved, _amounts(price), strict=True)
        ]
        self._reservations += 1
        return True

    def lacking(self, price: Price) -> str:
        """Name the option whose limit has no room now for a session; empty if it fits."""
        for option, limit, spent, reserved, amount in zip(
            _OPTIONS, self._limits, self._spent, self._reserved, _amounts(price), strict=True
        ):
            # Sums of floats stray by rounding: a limit that is met to nine digits is met.
            if spent + reserved + amount > limit * (1 + 1e-9) and amount:
                return f"{option} {limit:.15g}"
        return ""

    def settle(self, reserved: Price, actual: Price) -> None:
        """A session has ended: what it really cost takes the place of what was set aside."""
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
