"""What the journal of a run holds: each entry goes up before it is written in the checkpoint here."""

from typing import Final

import msgspec

from batchjobs.checkpoint import AttemptEnd, AttemptStart, Choice, JobRecord, SegmentChanges
from batchjobs.storage.shelf import Upload


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a run.

    Attributes:
        token: Of the run folder that it is worked on in.
        host: The machine.
        folder: The run folder's path there.
        pid: Of the process.
        since: Unix time at which it began.
        renewed_at: Unix time at which it said last that it goes on.
        ended_at: Unix time at which it ended; 0 if it did not say.
        claims: Numbers of the entries by which the run was taken over. They are never removed: whoever
            had it before, and was only paused, finds one in the place of its next entry.
    """

    token: str
    host: str
    folder: str
    pid: int
    since: float
    renewed_at: float
    ended_at: float = 0.0
    claims: tuple[int, ...] = ()

    def is_of(self, other: "Owner") -> bool:
        """Whether it is the same run folder."""
        return (self.token, self.host, self.folder) == (other.token, other.host, other.folder)


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag="claim"):
    """From here on the run is this owner's: whoever had it before cannot write the next entry.

    Attributes:
        owner: Whose it is.
        at: Unix time; attempts that were open by then are lost.
    """

    owner: Owner
    at: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt, a job or segments, and the files that show it.

    It goes up before these do: it counts if they are there.

    Attributes:
        end: How the attempt ended, if one did.
        record: What became of the job, if that is decided.
        changes: What became of segments of long jobs.
        files: What was to go up with it.
    """

    end: AttemptEnd | None = None
    record: JobRecord | None = None
    changes: SegmentChanges | None = None
    files: tuple[Upload, ...] = ()


class Group(msgspec.Struct, frozen=True, kw_only=True, tag="group"):
    """What is committed together.

    Attributes:
        token: Of whoever writes it.
        starts: Attempts that begin.
        outcomes: What came of others.
    """

    token: str
    starts: tuple[AttemptStart, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """Facts about the run that are kept.

    Attributes:
        token: Of whoever writes it.
        facts: Names and values.
    """

    token: str
    facts: tuple[tuple[str, str], ...]


class Again(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """Rows are to go again: see `checkpoint.Orders.requeue`."""

    token: str
    choice: Choice
    since: float
    providers: tuple[str, ...]


Entry = Claim | Group | Facts | Again
_decoder: Final[msgspec.msgpack.Decoder[Entry]] = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Write an entry."""
    return msgspec.msgpack.encode(entry)


def decode_entry(content: bytes) -> Entry:
    """Read an entry.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _decoder.decode(content)
