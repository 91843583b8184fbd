"""What counts as healthy, for ``batchjobs status --health`` and for Python."""

from dataclasses import dataclass

from batchjobs.errors import PYTHON_NAMES
from batchjobs.options.setting import describe, name_for_python, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """What counts as healthy."""

    stuck_minutes: float = setting(
        "With --health: how long work may lead to nothing.",
        default=30.0,
        flag="--stuck",
        metavar="MINUTES",
        least=1,
    )
    most_bad_percent: float = setting(
        "With --health: how much of the jobs may have failed or be suspect.",
        default=5.0,
        flag="--most-bad",
        metavar="PERCENT",
        least=0,
        most=100,
    )


HealthSettings.__doc__ = describe(HealthSettings)
PYTHON_NAMES.update(name_for_python(HealthSettings))
