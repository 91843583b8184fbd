"""A place in a bucket as a manifest of its recordings: each is fetched once, for its length and its hash."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from batchjobs.audio import decoding, looking
from batchjobs.audio.recognition import ENDINGS, HEAD_BYTES, recognise
from batchjobs.errors import DecoderMissingError, ManifestError, RecordingError
from batchjobs.files.address import Address
from batchjobs.files.atomic import disk_error, part_path, write_whole
from batchjobs.manifest.left_out import Cause, LeftOut, write_list
from batchjobs.manifest.scan import UNFINISHED, ScanReport, leave, make_id, read_rows
from batchjobs.manifest.walking import is_partial
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.reading import FileFacts

_HEADS_AT_ONCE: Final = 64


class Work(NamedTuple):
    """How far a scan of a bucket has come.

    Attributes:
        done: Recordings that were looked at.
        recordings: How many there are to look at.
        size: How much there is to fetch of them in all, in bytes.
    """

    done: int
    recordings: int
    size: int


class _Found(NamedTuple):
    name: str
    facts: FileFacts


class BucketScan:
    """Adds the recordings in a place in a bucket to a manifest here, each content once.

    What stands in the manifest stays as it is, and is not fetched. Each new row is durable before the next
    recording is looked at: a scan that is stopped goes on where it was.

    Args:
        place: Where to look, also in the folders below.
        manifest: The manifest, which need not exist; its rows name recordings from the place, which is
            ``--input-root`` for a run.

    Raises:
        ManifestError: The manifest is none of recordings.
    """

    def __init__(self, place: Address, manifest: Path) -> None:
        self._place = place
        self._manifest = manifest
        self._known = read_rows(manifest)
        self._by_size: dict[int, list[tuple[str, str]]] = {}
        """Names and hashes of what was looked at."""
        self._unread: dict[int, list[_Found]] = {}
        """What the manifest has: it is fetched only where something new has its size."""

    def run(self, progress: Callable[[Work], None] = lambda _: None) -> ScanReport:
        """Look at what is there, and add what is new.

        Args:
            progress: Called before each recording is looked at, and at the end.

        Raises:
            ManifestError: There is nothing in the place.
            OutputError: The manifest cannot be created.
            DiskError: The disk failed or is full.
            BatchjobsError: The bucket cannot be read.
        """
        report = ScanReport()
        with closing(InputFiles()) as files:
            files.keep_in(part_path(self._manifest).with_suffix(".fetched"))
            there = sorted(_Found(*each) for each in files.list_below(self._place))
            if not there:
                raise ManifestError(
                    f"there is nothing below {self._place}",
                    hint="give s3://BUCKET or s3://BUCKET/FOLDER",
                )
            if not self._manifest.exists():
                write_whole(self._manifest, b"")
            names = {each.name for each in there}
            report.gone = [name for name in self._known.paths if name not in names]
            new = [each for each in self._choose(there, report, files) if each.facts.bytes]
            self._add(new, report, files, progress)
        write_list(self._manifest, report.left_out)
        return report

    def _choose(
        self, there: Sequence[_Found], report: ScanReport, files: InputFiles
    ) -> Iterator[_Found]:
        """Choose what is to be fetched: what is called as recordings are, or begins as they do."""
        for start in range(0, len(there), _HEADS_AT_ONCE):
            some = there[start : start + _HEADS_AT_ONCE]
            unclear = [each for each in some if self._is_unclear(each)]
            files.read_ahead(map(self._address_of, unclear), HEAD_BYTES)
            for each in some:
                if each.name in self._known.paths:
                    report.known += 1
                    self._unread.setdefault(each.facts.bytes, []).append(each)
                elif not each.facts.bytes or (
                    self._is_unclear(each) and not self._is_recognised(each, files)
                ):
                    report.left_out.append(_leave(each.name, Cause.NO_RECORDING))
                elif is_partial(Path(each.name)):
                    report.left_out.append(_leave(each.name, Cause.ARRIVING, UNFINISHED))
                else:
                    yield each

    def _is_unclear(self, found: _Found) -> bool:
        is_named = Path(found.name).suffix.lower() in ENDINGS
        return not is_named and bool(found.facts.bytes) and found.name not in self._known.paths

    def _is_recognised(self, found: _Found, files: InputFiles) -> bool:
        with tempfile.NamedTemporaryFile() as head:
            try:
                head.write(files.read(self._address_of(found), HEAD_BYTES))
            except RecordingError:  # gone by now
                return False
            head.flush()
            return bool(recognise(Path(head.name)))

    def _add(
        self,
        new: Sequence[_Found],
        report: ScanReport,
        files: InputFiles,
        progress: Callable[[Work], None],
    ) -> None:
        count, size = len(new), sum(each.facts.bytes for each in new)
        files.fetch_ahead((self._address_of(each), each.facts) for each in new)
        with self._manifest.open("r+b") as file:
            file.write(self._known.content)  # with a line end, if it had none
            for done, each in enumerate(new):
                progress(Work(done, count, size))
                row = self._make_row(each, report, files)
                try:
                    file.write(row)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError as error:
                    raise disk_error(error, self._manifest) from error
        progress(Work(count, count, size))

    def _make_row(self, found: _Found, report: ScanReport, files: InputFiles) -> bytes:
        """Make the row of a recording; empty for anything else, which is noted."""
        name, address = found.name, self._address_of(found)
        try:
            with files.borrow(address, found.facts, is_last=True) as lent:
                recording = looking.look_at(lent.path)
                digest = decoding.sha256_of(lent.path)
        except RecordingError as error:
            is_extra = isinstance(error, DecoderMissingError)
            cause = Cause.EXTRA if is_extra else Cause.UNREADABLE
            reason = f"{error.message.removeprefix(f'{address} ')}; {error.hint}"
            report.left_out.append(_leave(name, cause, reason))
            return b""
        same = self._by_size.setdefault(found.facts.bytes, [])
        same += self._read_known(found.facts.bytes, files)
        for other, others in same:
            if others == digest:
                report.left_out.append(_leave(name, Cause.DUPLICATE, other))
                return b""
        same.append((name, digest))
        made = make_id(Path(name), self._known.ids)
        self._known.ids.add(made)
        return report.add_new(made, name, recording)

    def _read_known(self, size: int, files: InputFiles) -> Iterator[tuple[str, str]]:
        """Give names and hashes of what the manifest has of a size, once."""
        for each in self._unread.pop(size, ()):
            with (
                contextlib.suppress(RecordingError),  # it is gone by now
                files.borrow(self._address_of(each), each.facts, is_last=True) as lent,
            ):
                yield each.name, decoding.sha256_of(lent.path)

    def _address_of(self, found: _Found) -> str:
        return f"{self._place}/{found.name}"


def _leave(name: str, cause: Cause, reason: str = "") -> LeftOut:
    return leave(Path(name), name, cause, reason)
