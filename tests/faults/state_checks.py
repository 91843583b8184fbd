"""Compares a run folder with what is known of it, and learns from the server's ledger what was bought."""

import contextlib
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import batchjobs
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import BatchjobsError
from batchjobs.files.atomic import part_path
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.jobs import Status
from batchjobs.outputs.summary import RunSummary
from batchjobs.progress import Event
from tests.faults.state_model import Model
from tests.faults.state_world import (
    ATTEMPTS,
    CONCURRENCY,
    LOSSLESS,
    Held,
    Unsettled,
    digest_of,
    hear_tones,
    hurry_retries,
)
from tests.faults.zygote import options_of
from tests.recordings import read_pcm

__all__ = ["Checked"]


class Checked(Model):
    """A run folder that is looked at after every run."""

    def settle(
        self,
        observe: Callable[[Event], None] | None = None,
        *,
        attempts: int = ATTEMPTS,
        retries: bool = False,
    ) -> None:
        """Run to the end, and check everything against the model and the server's ledger."""
        self.write()
        least = self.purchases(retries=retries)
        most = self.purchases(most=True, retries=retries)
        kept_failures = {
            self.id_of(row)
            for row in self.good_rows
            if self.is_settled(row, retries=retries) or attempts < ATTEMPTS
        }
        options = options_of(self.request_for(attempts=attempts, retries=retries))
        with hurry_retries():
            report = batchjobs.run(self.manifest, options, observe=observe)
        self.world.counts["runs"] += 1
        self.compare(least, most)
        self.check(report.summary, report.exit_code)
        ended = {self.id_of(row) for row in self.open_rows}
        failed = {name for name in ended if not self.unsettled[name].is_suspect}
        self.hold("none fails that need not", holds=failed <= kept_failures, why=failed)

    def check(self, summary: RunSummary, exit_code: int) -> None:
        """Check the folder of a run that has come to its end."""
        self.learn()
        self.check_counts(summary, exit_code)
        self.check_results()
        self.check_unsettled()
        found = {line.partition(":")[0] for line in batchjobs.verify(self.folder).wrong}
        told = self.distrusted
        self.distrusted = [held for held in self.held if not self.stands(held, exactly=True)]
        wrong = {held.id for held in self.distrusted if held not in told or self.is_asked_for(held)}
        self.hold("verify finds the damage, and only it", holds=found == wrong, why=(found, wrong))
        # A kill may leave the unfinished file of a row that has another place since.
        places = {part_path(self.folder / self.place_of(row)) for row in self.good_rows}
        halves = {*self.folder.rglob("*.part")}
        self.world.counts["unfinished files left by kills"] += len(halves)
        unsettled = {part_path(self.folder / self.place_of(row)) for row in self.open_rows}
        is_clean = not halves & (places - unsettled) if self.kills else not halves
        self.hold("no half file", holds=is_clean, why=halves)
        beside = {path.name for path in self.place.iterdir()} - {"copies"}
        self.hold("no file outside", holds=beside == {"run", "rows.jsonl"}, why=beside)

    def check_counts(self, summary: RunSummary, exit_code: int) -> None:
        """Check what a run says of itself."""
        rows, bad = len(self.rows), len(self.rows) - len(self.good_rows)
        found = [self.unsettled[self.id_of(row)] for row in self.open_rows]
        suspect = sum(each.is_suspect for each in found)
        failed = bad + len(found) - suspect
        counted = (summary.rows, summary.done, summary.suspect, summary.failed, summary.not_run)
        right = (rows, rows - suspect - failed, suspect, failed, 0)
        self.hold("the counts add up", holds=counted == right, why=(right, summary))
        self.hold("the exit code is true", holds=exit_code == int(rows > right[1]), why=exit_code)

    @property
    def open_rows(self) -> list[dict[str, object]]:
        """The rows that have failed or are in doubt, as far as the model knows."""
        return [
            row
            for row in self.good_rows
            if (known := self.unsettled.get(self.id_of(row))) is not None
            and known.key == self.key_of(row)
        ]

    def check_results(self) -> None:
        """Check the results of a run that has come to its end, and their files."""
        lines = [json.loads(x) for x in (self.folder / "results.jsonl").read_bytes().splitlines()]
        told = {line["id"]: line for line in lines}
        done = [row for row in self.good_rows if row not in self.open_rows]
        is_each = len(lines) == len(told) == len(done)
        self.hold("a line for each row", holds=is_each, why=sorted(told))
        damaged = self.silently_damaged()
        for row in done:
            name, place = self.id_of(row), self.place_of(row)
            line = told.get(name, {})
            self.hold("its line says so", holds=line.get("output") == place, why=(row, line))
            self.hold("its text is its own", holds=line.get("text") == row["text"], why=(row, line))
            path = self.folder / place
            self.hold("its file is there", holds=path.is_file(), why=row)
            if name not in damaged and self.current[name].evidence not in self.accepted:
                self.hold(
                    "its file says it",
                    holds=hear_tones(path) == row["text"],
                    why=(row, hear_tones(path)),
                )

    def check_unsettled(self) -> None:
        """Check what is in doubt: told, kept, nowhere else; and that its folder has nothing else."""
        lines = [json.loads(x) for x in (self.folder / "failed.jsonl").read_bytes().splitlines()]
        told = {line["id"]: line.get("kept", {}).get("output", "") for line in lines}
        for row in self.open_rows:
            known = self.unsettled[self.id_of(row)]
            self.hold("it is told", holds=told.get(known.id) == known.output, why=(known, told))
            if not known.is_suspect:
                continue
            self.world.counts["in doubt at the end of a run"] += 1
            asked = hashlib.sha256(known.key[0].encode()).hexdigest(), known.key[1]
            self.hold("in doubt for a reason", holds=asked in self.world.struck, why=known)
            place = self.place_of(row)
            is_ours = (self.folder / place).is_file() and self.kills == 0
            is_result = any(held.output == place for held in self.held)
            self.hold("not under its final name", holds=is_result or not is_ours, why=known)
        self.check_kept()

    def check_kept(self) -> None:
        """Check that the folder of what is in doubt has that, and nothing else.

        What rows had in doubt before they were edited is kept as well, for who undoes the edit.
        """
        kept = {known.output for known in self.unsettled.values() if known.is_suspect}
        with contextlib.closing(sqlite3.connect(self.folder / CHECKPOINT)) as database:
            apart = "SELECT output FROM jobs WHERE status = 'suspect' AND instr(id, char(31))"
            kept |= {output for (output,) in database.execute(apart)}
        found = {str(path.relative_to(self.folder)) for path in self.folder.glob("suspect/*")}
        self.hold("only what is in doubt is kept", holds=found == kept, why=(found, kept))
        is_empty = not kept and (self.folder / "suspect").exists()
        self.hold("no folder without use", holds=not is_empty)

    def is_asked_for(self, held: Held) -> bool:
        """Whether a row asks for this very result, there."""
        asked = (held.id, held.key, held.output)
        return any(
            (self.id_of(row), self.key_of(row), self.place_of(row)) == asked
            for row in self.good_rows
        )

    def silently_damaged(self) -> set[str]:
        """Finished jobs whose file has its size, but not its bytes: only `verify` looks so far."""
        return {
            name
            for name, held in self.current.items()
            if self.stands(held, exactly=False) and not self.stands(held, exactly=True)
        }

    def learn(self) -> Counter[tuple[str, str]]:
        """Take over what a run committed since; give what of it was bought, by text and voice.

        A job may have several results: those that an edit left behind serve whoever asks for them
        again. Only what a later result took the place of may be forgotten.
        """
        self.learn_unsettled()
        with Checkpoint.read(self.folder) as checkpoint:
            records = list(checkpoint.lookups.stream_done())
            current = checkpoint.lookups.find([record.id for record in records])
        # Bought again, it has the same bytes, and evidence of its own.
        before = {
            (held.id, held.product_key, held.output, held.sha256, held.evidence): held
            for held in self.held
        }
        bought: Counter[tuple[str, str]] = Counter()
        kept: list[Held] = []
        self.current = {}
        for record in records:
            digest = record.files[0].sha256
            name = (record.id, record.key, record.output, digest, record.evidence)
            held = before.pop(name, None)
            if held is None:
                held = self.learned(record)
                # A job's own earlier result, in another format now, was bought for it before.
                is_its_own = any(held.evidence == other.evidence for other in self.held)
                is_its_own |= held.evidence in self.accepted
                if not record.copied_from and not is_its_own:
                    bought[hashlib.sha256(held.key[0].encode()).hexdigest(), held.key[1]] += 1
            if current.get(record.id) == record:
                self.current[record.id] = held
            kept.append(held)
        fresh = [held for held in kept if held not in self.held]
        for held in before.values():
            replaced = any(held.id == new.id or held.output == new.output for new in fresh)
            # What was gone or damaged, and could not be bought again, is in doubt or has failed.
            again = self.unsettled.get(held.id)
            is_again = again is not None and again.product_key == held.product_key
            replaced |= is_again and not self.is_there(held, exactly=True)
            self.hold("nothing bought is forgotten", holds=replaced, why=held)
        self.held = kept
        return bought

    def learn_unsettled(self) -> None:
        """Take over which jobs have failed or are in doubt; what was kept, is, or is settled."""
        before, self.unsettled = self.unsettled, {}
        rows = {self.id_of(row): row for row in self.good_rows}
        for name, record in self.without_result().items():
            if record.error_class == "bad_row":
                continue
            known = before.get(name)
            if known is None or known.product_key != record.key:
                key = self.key_of(rows[name]) if name in rows else ("", "", 0)
            else:
                key = known.key
            self.unsettled[name] = self.kept_of(record, key)
        for known in before.values():
            now = self.unsettled.get(known.id)
            is_asked = known.id in rows and known.key == self.key_of(rows[known.id])
            if known.is_suspect and is_asked and (now is None or not now.is_suspect):
                self.hold("what was kept is kept, or settled", holds=now is None, why=(known, now))

    def kept_of(self, record: JobRecord, key: tuple[str, str, int]) -> Unsettled:
        """Check what is kept of a job in doubt."""
        made = Unsettled(
            id=record.id,
            key=key,
            product_key=record.key,
            is_suspect=record.status is Status.SUSPECT,
            is_passing=record.is_passing,
        )
        if not made.is_suspect:
            return made
        path, file = self.folder / record.output, record.files[0]
        self.hold("what is in doubt is kept apart", holds=path.parent.name == "suspect", why=record)
        self.hold("what is in doubt is there", holds=path.is_file(), why=record)
        is_whole = digest_of(path, file.head_bytes) == file.sha256
        self.hold("what is in doubt is whole", holds=is_whole, why=record)
        return replace(
            made,
            output=record.output,
            sha256=digest_of(path, 0),
            pcm_sha256=record.pcm_sha256,
            evidence=record.evidence,
        )

    def learned(self, record: JobRecord) -> Held:
        """Check a result that is new."""
        accepted = self.accepted.get(record.evidence)
        rows = {self.id_of(row): row for row in self.good_rows}
        row = rows.get(record.id)
        if accepted is None:
            self.hold("only rows of the manifest are done", holds=row is not None, why=record)
        key = accepted.key if accepted is not None else self.key_of(row or {})
        file, path = record.files[0], self.folder / record.output
        self.hold("what is done is there", holds=path.is_file(), why=record)
        is_whole = digest_of(path, file.head_bytes) == file.sha256
        self.hold("what is done is whole", holds=is_whole, why=record)
        if accepted is None:
            is_right, why = hear_tones(path) == key[0], hear_tones(path)
        else:
            is_right, why = record.pcm_sha256 == accepted.pcm_sha256, accepted.output
            if path.suffix in LOSSLESS:
                samples = hashlib.sha256(read_pcm(path)).hexdigest()
                is_right &= samples == accepted.pcm_sha256
        self.hold("what is done is right", holds=is_right, why=(record, why))
        return Held(
            id=record.id,
            key=key,
            output=record.output,
            sha256=file.sha256,
            head_bytes=file.head_bytes,
            size=file.bytes,
            product_key=record.key,
            evidence=record.evidence,
        )

    def after_a_kill(self) -> None:
        """Learn what was committed; what was bought beyond that was open at the kill."""
        sold = self.world.sold()
        if not (self.folder / CHECKPOINT).exists():
            self.hold("nothing bought before there is a checkpoint", holds=not sold, why=sold)
            return
        try:
            bought = self.learn()
        except BatchjobsError as error:
            self.hold("a kill leaves a readable checkpoint", holds=error.exit_code == 2, why=error)
            return
        lost = sold - bought
        repeated = bought - sold
        self.world.counts["bought and lost to a kill"] += lost.total()
        self.hold("what is done was bought", holds=not repeated, why=repeated)
        self.hold("at most the concurrency is lost", holds=lost.total() <= CONCURRENCY, why=lost)
