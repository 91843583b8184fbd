"""How numbers, sums of money, lengths of time and nameless manifests are put into words."""

import time
from typing import Final

STANDARD_INPUT: Final = "<stdin>"
"""What a manifest is called that came as a stream."""
GIVEN_ROWS: Final = "<rows>"
"""What a manifest is called that a program gave as rows."""


def duration(seconds: float) -> str:
    """Write seconds as people read them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return (
        f"{hours}:{rest // 60:02}:{rest % 60:02} h" if hours else f"{rest // 60}:{rest % 60:02} min"
    )


def timestamp(seconds: float) -> str:
    """Write a place in a recording: ``0:01:32.5``."""
    tenths = round(seconds * 10)
    return f"{tenths // 36_000}:{tenths // 600 % 60:02}:{tenths / 10 % 60:04.1f}"


def clock(at: float) -> str:
    """Write a Unix time by this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def money(cost: float, currency: str) -> str:
    """Write a sum of money: to the cent, and below one unit as exactly as it is, to a millionth."""
    if cost >= 1:
        return f"{cost:,.2f} {currency}"
    whole, _, digits = f"{cost:.6f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<2} {currency}"


def plural(count: int, name: str) -> str:
    """Write a number of things: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def file_size(count: int) -> str:
    """Write a number of bytes as people read them: ``12.3 MB``, a million bytes each."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
