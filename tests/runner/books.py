"""A long text, a service that sells its parts, and what is heard of the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchjobs.jobs import Job
from batchjobs.options import Options
from tests.runner.runs import OPTIONS, QUICK, RunOutcome, run_rows

SHORT = replace(QUICK, text_limit_characters=400, audio_limit_seconds=4.0, audio_target_seconds=3.0)

LONG = " ".join(f"الجُملة رقم {number} من كتابٍ طويلٍ عن النجوم." for number in range(20))

PLAN = Options(skip_bad_rows=True, sentence_pause_seconds=0.05, paragraph_pause_seconds=0.25)

RUN = replace(OPTIONS, sentence_pause_seconds=0.05, paragraph_pause_seconds=0.25)


async def run_book(folder: Path, rows: Sequence[Job], service: Any, **others: Any) -> RunOutcome:
    """Run rows with short segments and known pauses."""
    settings: dict[str, Any] = {"provider": SHORT, "plan_options": PLAN, "run_options": RUN}
    return await run_rows(folder, rows, service, **(settings | others))
