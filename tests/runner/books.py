"""A long text, a service that sells its parts, and what is heard of the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchjobs.jobs import Job
from batchjobs.options import Pauses
from batchjobs.planning import PlanSettings
from tests.runner.runs import QUICK, SETTINGS, Ran, ran

SHORT = replace(QUICK, text_limit_characters=400, audio_limit_seconds=4.0, audio_target_seconds=3.0)

PAUSES = Pauses(sentences_seconds=0.05, paragraphs_seconds=0.25)

PLAN = PlanSettings(name="t.csv", skip_bad_rows=True, pauses=PAUSES)

RUN = replace(SETTINGS, pauses=PAUSES)


async def told(folder: Path, rows: Sequence[Job], service: Any, **others: Any) -> Ran:
    """Run rows with short segments and known pauses."""
    settings = {"provider": SHORT, "plan_settings": PLAN, "run_settings": RUN}
    return await ran(folder, rows, service, **(settings | others))
