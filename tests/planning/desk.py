"""A manifest, a run folder and its checkpoint, to plan with."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchjobs.audio import encoding
from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.files.atomic import publish
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import BadRow, Job, Kind
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults, Options
from batchjobs.outputs import reuse, writing
from batchjobs.planning.intact import is_intact
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import TO_BUY, Action, Plan
from batchjobs.providers import Provider
from batchjobs.transcripts.joining import TranscriptPart, join_parts
from tests.builders import make_evidence, make_failed_record, make_record, make_start

SPOKEN = b"\x01\x02" * 4_000

_EVIDENCE = make_evidence()


@dataclass
class Desk:
    """A manifest's folder, its run folder, and what a run does with a plan, without sessions."""

    home: Path
    providers: Mapping[str, Provider]
    held: set[str] = field(default_factory=set)
    """Keys of what was there when the last run began."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.home / "outputs" / "run"

    def rows(self, table: Sequence[Mapping[str, object]]) -> Iterator[Job | BadRow]:
        """Write a manifest and read it."""
        columns = list(dict.fromkeys(name for row in table for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(table)
        path = self.home / "m.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return read_rows(
            path,
            name="m.csv",
            folder=self.home,
            providers=self.providers,
            defaults=Defaults(voice_id="v"),
        )

    def plan(self, table: Sequence[Mapping[str, object]], **changes: Any) -> dict[str, str]:
        """Plan and adopt; give each row's action by its id."""
        with Checkpoint.open(self.folder) as checkpoint:
            self.made(table, checkpoint, **changes)
            checkpoint.staging.adopt({})
            return {row.id: row.action for row, _ in checkpoint.rows.stream_outcomes()}

    def made(
        self,
        table: Sequence[Mapping[str, object]],
        checkpoint: Checkpoint,
        *,
        fingerprint: str = "",
        inputs_folder: str = "",
        **changes: Any,
    ) -> Plan:
        """Plan, and no more."""
        return make_plan(
            self.rows(table),
            checkpoint=checkpoint,
            providers=self.providers,
            options=Options(**changes),
            name="m.csv",
            fingerprint=fingerprint,
            inputs_folder=inputs_folder,
        )

    def run(
        self,
        table: Sequence[Mapping[str, object]],
        *,
        failing: Mapping[str, bool] | None = None,
        **changes: Any,
    ) -> list[str]:
        """Plan and run: buy, copy and fail as the plan says; give the ids of what was bought."""
        bought = []
        with Checkpoint.open(self.folder) as checkpoint:
            self.made(table, checkpoint, **changes)
            checkpoint.staging.adopt({})
            done = checkpoint.lookups.stream_done()
            self.held = {record.key for record in done if is_intact(Shelf(self.folder), record)}
            for actions in ((*TO_BUY, Action.COPY, Action.BAD), (Action.FOLLOW,)):
                rows = checkpoint.rows.stream_to_do(actions)
                bought += [row.id for row in rows if self.do(checkpoint, row, failing or {})]
            totals = checkpoint.totals.count_rows()
            assert totals.done + totals.failed + totals.not_run == totals.rows
        return bought

    def do(self, checkpoint: Checkpoint, row: Row, failing: Mapping[str, bool]) -> bool:
        """Do one row; tell whether it was bought."""
        if row.action == Action.BAD or row.id in failing:
            kind = Kind(row.kind) if row.kind else Kind.TTS
            record = make_failed_record(id=row.id, key=row.key, kind=kind)
            checkpoint.commit(records=[replace(record, is_passing=failing.get(row.id, False))])
            return False
        if row.action in {Action.COPY, Action.FOLLOW}:
            donors = checkpoint.lookups.find_donors(row.key)
            written = next(
                filter(None, (reuse.copy_result(self.folder, row.output, d) for d in donors)), None
            )
            if written is not None:
                publish(written.targets)
                record = replace(donors[0], id=row.id, output=row.output, files=written.files)
                checkpoint.commit(records=[record])
                return False
            # Of rows that exchange their texts this model, which does one after the other, buys one
            # again; how a run does them is tested in tests/runner/test_exchanges.py.
            assert row.key in self.held, f"{row.action} of {row.id} has no donor: a lie of the plan"
        checkpoint.commit(starts=[make_start(key=row.key, job=row.id, provider=row.provider)])
        if row.kind == Kind.TTS:
            written = writing.write_speech(self.folder, row.output, SPOKEN, 24_000)
        else:
            heard = join_parts([TranscriptPart(start_seconds=0.0, seconds=row.seconds, text="نَصّ")])
            written = writing.write_transcript(
                self.folder, row.output, heard, audio_seconds=row.seconds, evidence=_EVIDENCE
            )
        publish(written.targets)
        record = make_record(
            id=row.id,
            key=row.key,
            kind=Kind(row.kind),
            output=row.output,
            files=written.files,
            sample_rate=24_000 if row.kind == Kind.TTS else 0,
            frames=len(SPOKEN) // 2 if row.kind == Kind.TTS else 0,
            pcm_sha256=written.pcm_sha256,
        )
        checkpoint.commit(records=[record])
        return True


def text_rows(*texts: str) -> list[dict[str, str]]:
    """Make rows of texts, with the ids r1, r2 and so on."""
    return [{"id": f"r{number}", "text": text} for number, text in enumerate(texts, 1)]


def write_sound(path: Path, seconds: float = 1.0) -> bytes:
    """Write a recording of so many seconds; gives its bytes."""
    content = encoding.encode(
        b"\x10\x20" * round(16_000 * seconds), sample_rate=16_000, format="wav"
    )
    path.write_bytes(content)
    return content
