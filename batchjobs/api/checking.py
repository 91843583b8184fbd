"""The work of a check: clips heard and judged, bad ones bought again, verdicts kept."""

import contextlib
import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations, islice
from pathlib import Path
from typing import Final

from batchjobs.api.check_report import CheckReport, Choice
from batchjobs.api.hearing import Clip, hash_of, hear_clips, stream_clips
from batchjobs.api.judging import Judge, score_transcript
from batchjobs.api.report import RunReport
from batchjobs.api.scoring import ClipScorer
from batchjobs.api.survey import Survey
from batchjobs.api.takes import (
    MOST_TAKES,
    Take,
    TakeRun,
    choose_best,
    exchange_clip,
)
from batchjobs.checkpoint import Checkpoint, CheckRecord, CheckVerdict, Decision, Row
from batchjobs.custody.checkpoint import open_run
from batchjobs.errors import BatchjobsError, RunLockedError
from batchjobs.files import run_folder
from batchjobs.jobs import Kind, Status
from batchjobs.options import Defaults, Options
from batchjobs.outputs import reports
from batchjobs.outputs.summary import summarise
from batchjobs.planning.plan import Plan
from batchjobs.planning.totals import sum_spent
from batchjobs.progress import Observer
from batchjobs.providers import DEFAULT_PROVIDER, Provider
from batchjobs.quality.normalize import Step
from batchjobs.quality.verdicts import are_heard_alike, doubt_record
from batchjobs.storage.shelf import read_mark

_PAGE: Final = 500
_MANY_BAD: Final = 40
_TRIED: Final = 20
_LEAST_CURED: Final = 0.5
_NOT_CURED: Final = (
    "of {tried} clips like it that were bought again {cured} became better: it is the recogniser"
)
_ALIKE: Final = "another take of it seems to be wrong at the same place: it is how it is heard"
HEARING: Final = "check"
BUYING: Final = "quality"


@dataclass(slots=True, kw_only=True)
class Checker:
    """One check as it goes on.

    Attributes:
        looking: The run folder's checkpoint, to look at.
        survey: What there is.
        providers: By name, for the prices.
        options: Of the transcription.
        choice: Which clips.
        steps: What makes no difference between two texts.
        scorer: Knows, or computes, what listeners would say.
        observe: Gets every event.
        announce: Told of each purchase before it is made.
    """

    looking: Checkpoint
    survey: Survey
    providers: Mapping[str, Provider]
    options: Options
    choice: Choice
    steps: frozenset[Step]
    scorer: ClipScorer
    observe: Observer | None = None
    announce: Callable[[str, Plan], None] | None = None
    _verdicts: Counter[CheckVerdict] = field(default_factory=Counter)
    _bad: dict[str, CheckRecord] = field(default_factory=dict)
    _improved: list[str] = field(default_factory=list)
    _bought_again: int = 0
    _is_stored: bool = True
    _error: BatchjobsError | None = None
    _signal_number: int = 0

    def check(self) -> CheckReport:
        """Check, and say what was found."""
        judge = Judge(self.looking.shelf, self.steps, self.scorer)
        only = self._find_worst(judge)
        if self.survey.clips:
            self._note_end(self._hear(self._stream_clips(only)))
            judge.measure(self._stream_clips(only))
            self._keep(judge.judge(self._stream_clips(only)))
        if self.survey.references:
            self._keep(self._score())
        if self._bad and not self._signal_number and not self.survey.is_running:
            self._replace_bad(judge, only)
        self._write_results()
        return self._report()

    def _find_worst(self, judge: Judge) -> set[str] | None:
        if self.choice.worst is None or not self.survey.clips:
            return None
        judge.measure(self._stream_clips(None))
        return judge.find_worst(self._stream_clips(None), self.choice.worst)

    def _stream_clips(self, only: set[str] | None) -> Iterator[Clip]:
        return stream_clips(self.looking, sample=self.choice.sample, only=only)

    # -- what is bought -------------------------------------------------------------------------

    def _hear(self, clips: Iterable[Clip]) -> RunReport:
        """Have clips heard, by the engine that spoke them if no other is named."""
        options = self._with_rest(self.options, run_folder.TAKES)
        if options.provider == DEFAULT_PROVIDER and not (options.engine or options.base_url):
            options = dataclasses.replace(options, engine=self.survey.engine)
        return hear_clips(
            self.looking.folder,
            clips,
            options,
            observe=self.observe,
            announce=functools.partial(self._announce, HEARING),
        )

    def _make_take_run(self) -> TakeRun:
        """Prepare the run that buys takes: of those who spoke, as the rows have it."""
        options = self._with_rest(self.options, run_folder.CHECK)
        if options.provider != self.survey.provider:
            options = dataclasses.replace(options, base_url="", key_file=None)
        options = dataclasses.replace(
            options,
            provider=self.survey.provider,
            speech=Defaults(),
            engine=options.engine or self.survey.engine,
        )
        return TakeRun(self.looking.folder, options, step=self.survey.most_take + 1)

    def _with_rest(self, options: Options, other: str) -> Options:
        """Leave of a budget what the other of the two runs has not spent."""
        path = self.looking.folder / other
        if options.budget is None or not (path / run_folder.CHECKPOINT).is_file():
            return options
        with Checkpoint.read(path) as checkpoint:
            spent = sum_spent(checkpoint, self.providers)
        return dataclasses.replace(options, budget=max(0.0, options.budget - spent.money))

    def _announce(self, purpose: str, plan: Plan) -> None:
        if self.announce is not None and plan.to_buy.rows:
            self.announce(purpose, plan)

    def _note_end(self, report: RunReport) -> None:
        self._error = self._error or report.error
        self._signal_number = self._signal_number or report.signal_number

    @property
    def _is_stopped(self) -> bool:
        return self._error is not None or bool(self._signal_number)

    # -- what is found --------------------------------------------------------------------------

    def _score(self) -> Iterator[CheckRecord]:
        """Measure the transcripts that have a reference."""
        for row, record in self.looking.rows.stream_records(Status.DONE):
            if record.kind is Kind.STT and record.files:
                job = row.read_job()
                if job.reference.strip():
                    yield score_transcript(record, reference=job.reference, steps=self.steps)

    def _keep(self, found: Iterable[CheckRecord]) -> None:
        """Count verdicts and write them into the checkpoint, page by page.

        Not while a run goes on: only that one writes there. What was heard is kept all the same, and
        the next check buys none of it.
        """
        waiting = iter(found)
        with open_if_free(self.looking.folder) as checkpoint:
            self._is_stored = self._is_stored and checkpoint is not None
            while page := list(islice(waiting, _PAGE)):
                if checkpoint is not None:
                    checkpoint.keep_checks(page)
                for each in page:
                    self._verdicts[each.verdict] += 1
                    if each.verdict is CheckVerdict.BAD:
                        self._bad[each.id] = each

    def _replace_bad(self, judge: Judge, only: set[str] | None) -> None:
        """Buy bad clips again and keep the best of the takes, as often as may be.

        The first round buys nothing: it looks at takes that an earlier check has left. Where much
        is bad, the second buys a few: if these are heard alike, it is the recogniser that fails.
        """
        run = self._make_take_run()
        self._use_takes(run, self._choose_takes(run, may_buy=False), judge, only)
        if self.choice.regenerate and len(self._bad) > _MANY_BAD:
            self._try_some(run, judge, only)
        for _ in range(self.choice.regenerate):
            if self._is_stopped or not self._bad:
                return
            self._buy(run, self._choose_takes(run, may_buy=True), judge, only)

    def _try_some(self, run: TakeRun, judge: Judge, only: set[str] | None) -> None:
        """Buy takes of some bad clips, and take the other verdicts back if they were for nothing."""
        rows = {take.row.id for take in self._choose_takes(run, may_buy=False)}
        undecided = {row.id for row in self._find_undecided()}
        tried = sorted(undecided - rows, key=hash_of)[:_TRIED]
        takes = [take for take in self._choose_takes(run, may_buy=True) if take.row.id in tried]
        self._buy(run, takes, judge, only)
        cured = sum(name in self._improved and name not in self._bad for name in tried)
        if not self._is_stopped and cured < _LEAST_CURED * len(tried):
            with open_to_change(self.looking.folder) as checkpoint:
                for own in list(self._bad.values()):
                    doubted = doubt_record(own, _NOT_CURED.format(cured=cured, tried=len(tried)))
                    checkpoint.keep_checks([doubted])
                    self._settle(own, doubted)

    def _buy(self, run: TakeRun, takes: list[Take], judge: Judge, only: set[str] | None) -> None:
        """Buy takes, and use them; those that are there are not bought again."""
        if takes:
            announce = functools.partial(self._announce, BUYING)
            self._note_end(run.buy(takes, observe=self.observe, announce=announce))
            self._use_takes(run, takes, judge, only)

    def _choose_takes(self, run: TakeRun, *, may_buy: bool) -> list[Take]:
        """Choose the takes that are there, and one more of each row that may have it."""
        takes = run.make_takes(self.looking, self._find_undecided(), MOST_TAKES)
        bought = run.find_bought(takes)
        wanted = [take for take in takes if take.id in bought]
        if may_buy:
            count = Counter(take.row.id for take in wanted)
            wanted += [
                take
                for take in takes
                if take.id not in bought
                and count[take.row.id] < self.choice.regenerate
                and take.number == count[take.row.id] + 1
            ]
        return wanted

    def _find_undecided(self) -> list[Row]:
        """Find the rows of bad clips, without those that somebody has accepted as they are, or dropped."""
        rows = [each.row for each in self.looking.rows.find_outcomes(list(self._bad)).values()]
        decided = set()
        for name, review in self.looking.reviews.find(list(self._bad)).items():
            is_accepted = review.decision is Decision.ACCEPT
            if review.decision is Decision.DROP or (
                is_accepted and review.sha256 == self._bad[name].sha256
            ):
                decided.add((name, review.key))
        return [row for row in rows if (row.id, row.key) not in decided]

    def _find_rejected(self) -> set[tuple[str, str]]:
        """Find the clips of rows, by their hashes, that somebody has rejected: none is put back."""
        reviews = self.looking.reviews.find(list(self._bad)).values()
        return {(each.id, each.sha256) for each in reviews if each.decision is Decision.REJECT}

    def _use_takes(
        self, run: TakeRun, takes: Sequence[Take], judge: Judge, only: set[str] | None
    ) -> None:
        """Have takes heard, and put those that are better in their rows' places."""
        bought, rejected = run.find_bought(takes), self._find_rejected()
        there = [run.clip_of(take, bought[take.id]) for take in takes if take.id in bought]
        clips = [clip for clip in there if (clip.row_id, clip.sha256) not in rejected]
        if not clips:
            return
        self._bought_again = max(self._bought_again, len(clips))
        judge.measure(clips)
        if not self._signal_number:
            self._note_end(self._hear(chain(self._stream_clips(only), clips)))
        found: dict[str, list[CheckRecord]] = {}
        for check in judge.judge_takes(clips):
            found.setdefault(check.id, []).append(check)
        by_number = {(take.row.id, take.number): take for take in takes}
        with open_to_change(self.looking.folder) as checkpoint:
            for name, checks in found.items():
                own = self._bad[name]
                others = [check for check in checks if check.sha256 != own.sha256]
                best = choose_best([own, *others])
                if best is not own:
                    take = by_number[name, best.take]
                    if exchange_clip(checkpoint, take, bought[take.id], [own, *others]):
                        self._improved.append(name)
                        self._settle(own, best)
                        continue
                checkpoint.keep_checks(others)
                self._doubt_alike(checkpoint, own, checks)

    def _doubt_alike(
        self, checkpoint: Checkpoint, own: CheckRecord, checks: Sequence[CheckRecord]
    ) -> None:
        """Take a verdict back where two takes seem to have the same fault at the same place."""
        pairs = combinations([own, *checks], 2)
        if any(one.take != other.take and are_heard_alike(one, other) for one, other in pairs):
            doubted = doubt_record(own, _ALIKE)
            checkpoint.keep_checks([doubted])
            self._settle(own, doubted)

    def _settle(self, own: CheckRecord, now: CheckRecord) -> None:
        self._verdicts[own.verdict] -= 1
        self._verdicts[now.verdict] += 1
        del self._bad[own.id]
        if now.verdict is CheckVerdict.BAD:
            self._bad[own.id] = now

    # -- how it ends ----------------------------------------------------------------------------

    def _write_results(self) -> None:
        """Write the run's files anew, with what was found."""
        with open_if_free(self.looking.folder) as checkpoint:
            if checkpoint is not None and not checkpoint.read_report():
                reports.write_again(checkpoint, self.providers)

    def _report(self) -> CheckReport:
        code = int(bool(self._bad))
        if self._signal_number:
            code = 128 + self._signal_number
        if self._error is not None:
            code = self._error.exit_code
        return CheckReport(
            folder=self.looking.folder,
            exit_code=code,
            summary=summarise(self.looking, self.providers),
            clips=self.survey.clips,
            verdicts={each: self._verdicts[each] for each in CheckVerdict if self._verdicts[each]},
            bad=tuple(self._bad.values()),
            bought_again=self._bought_again,
            improved=tuple(self._improved),
            is_stored=self._is_stored,
            error=self._error,
            signal_number=self._signal_number,
        )


@contextlib.contextmanager
def open_to_change(folder: Path) -> Iterator[Checkpoint]:
    """Open a run folder to write in it; what is written is wherever it has to be at the end."""
    with open_run(folder) as checkpoint:
        yield checkpoint
        checkpoint.hand_on()


@contextlib.contextmanager
def open_if_free(folder: Path) -> Iterator[Checkpoint | None]:
    """Open a run folder to write in it; None while a run goes on there.

    Raises:
        RunLockedError: One does whose results are in a bucket: it would bring and remove the same files.
    """
    with contextlib.ExitStack() as stack:
        try:
            checkpoint = stack.enter_context(open_to_change(folder))
        except RunLockedError:
            if read_mark(folder) is not None:
                raise
            yield None
        else:
            yield checkpoint
