"""Speech heard again and held against its text; what is bad is bought again, and the best take kept."""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

from batchjobs.api.check_report import CheckReport, Choice
from batchjobs.api.checking import Checker, open_if_free
from batchjobs.api.request import request_of
from batchjobs.api.scoring import ClipScorer
from batchjobs.api.survey import refuse_purchases, survey_run
from batchjobs.api.takes import MOST_TAKES, finish_exchanges
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import UsageError
from batchjobs.options import Options
from batchjobs.planning.plan import Plan
from batchjobs.process import signals
from batchjobs.progress import Observer
from batchjobs.quality.compare import load_library
from batchjobs.quality.normalize import EVERY_STEP, Step


def check(
    folder: str | Path,
    options: Options | None = None,
    *,
    sample: float = 1.0,
    worst: int | None = None,
    regenerate: int = 0,
    quality: bool = False,
    distinguish: Collection[str] = (),
    observe: Observer | None = None,
) -> CheckReport:
    """Have a run's speech heard again, hold it against its text, and buy again what is bad.

    The same call continues a check that was stopped: nothing is heard or bought twice. Transcripts
    that have a reference are measured beside it.

    Args:
        folder: The run folder.
        options: How to have it heard, as for `run`; the budget holds for all checks of this run.
        sample: Which share of the clips: 0.05 is one of twenty, the same ones each time.
        worst: Only so many clips, those with the worst signs.
        regenerate: How many times a bad clip may be bought again, over all checks of this run.
        quality: Whether each clip gets scores by a model of listeners, computed on this machine.
        distinguish: What is to make a difference between two texts, though it usually makes none;
            names of `Step`.
        observe: Gets every event of the runs that this takes.

    Returns:
        What was found, also if something stopped it: `CheckReport.raise_for_status` raises then.

    Raises:
        NoRunError: There is no run in the folder.
        UsageError: An option is out of its range, or there is nothing to check.
        MissingExtraError: The library that compares texts, or what computes scores, is not installed.
        ConfigurationError: A key, price or setting is missing or wrong; nothing was bought.
        RunLockedError: A run goes on in the folder, and clips are to be bought again, or are in a bucket.
        BatchjobsError: Anything else that keeps it from starting.
    """
    choice = Choice(sample=sample, worst=worst, regenerate=regenerate, scores=quality)
    try:
        report = carry_out_check(folder, options or Options(), choice, distinguish, observe=observe)
    except signals.Interrupted as early:
        signals.pass_on(early.number)
        raise
    signals.pass_on(report.signal_number)
    return report


def carry_out_check(
    folder: str | Path,
    options: Options,
    choice: Choice,
    distinguish: Collection[str] = (),
    *,
    observe: Observer | None = None,
    announce: Callable[[str, Plan], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Check as `check` does, but leave a signal in the report.

    Args:
        folder: The run folder.
        options: How to have it heard.
        choice: Which clips, and how often they may be bought again.
        distinguish: As for `check`.
        observe: As for `check`.
        announce: Told what is about to be bought, and what it will cost, before each purchase.
        progress: Called with the number of clips that have their scores.
    """
    load_library()
    _refuse_choice(choice)
    unknown = sorted(set(distinguish) - set(Step))
    if unknown:
        raise UsageError(f"there is no step '{unknown[0]}'", hint=f"there are {', '.join(Step)}")
    Checkpoint.read(Path(folder)).close()  # to open it for writing would make one
    # What is looked at from here on is of this version, and whole.
    with open_if_free(Path(folder)) as checkpoint:
        if checkpoint is not None:
            finish_exchanges(checkpoint)
    with Checkpoint.read(Path(folder)) as looking:
        request = request_of((), dataclasses.replace(options, output=folder))
        survey = survey_run(looking, request.providers)
        if choice.regenerate:
            refuse_purchases(survey, request)
        checker = Checker(
            looking=looking,
            survey=survey,
            providers=request.providers,
            options=request.options,
            choice=choice,
            steps=EVERY_STEP - {Step(name) for name in distinguish},
            scorer=ClipScorer(looking, computes=choice.scores, progress=progress),
            observe=observe,
            announce=announce,
        )
        return checker.check()


def _refuse_choice(choice: Choice) -> None:
    """Refuse what makes no sense."""
    if not 0 < choice.sample <= 1:
        raise UsageError("the sample is no share of the clips", hint="give more than 0, at most 1")
    if choice.worst is not None and choice.worst < 1:
        raise UsageError("the number of worst clips is below 1", hint="give 1 or more")
    if choice.worst is not None and choice.sample < 1:
        raise UsageError("a sample and the worst clips are two ways to choose", hint="give one")
    if not 0 <= choice.regenerate <= MOST_TAKES:
        raise UsageError(
            f"a clip cannot be bought again {choice.regenerate} times",
            hint=f"give 0 to {MOST_TAKES}",
        )
