"""What can be asked of a running run, and what it answers: one line of JSON each way."""

from typing import Final, TypeAlias

import msgspec

from batchjobs.errors import BatchjobsError, UsageError
from batchjobs.limits import Price

LONGEST_LINE_BYTES: Final = 1 << 20
"""Of a request: ten thousand ids, say."""


class Pause(msgspec.Struct, tag="pause", tag_field="do", frozen=True, forbid_unknown_fields=True):
    """Start no session until `Resume`; those that are open go on."""


class Resume(msgspec.Struct, tag="resume", tag_field="do", frozen=True, forbid_unknown_fields=True):
    """Start sessions again."""


class Set(
    msgspec.Struct,
    tag="set",
    tag_field="do",
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
):
    """Change settings.

    Attributes:
        values: As the command line has them, by long options without the dashes.
    """

    values: dict[str, str]


class Requeue(
    msgspec.Struct,
    tag="requeue",
    tag_field="do",
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
):
    """Let rows that ended failed or suspect go again.

    Attributes:
        classes: By the class of their failure; ``suspect`` for results in doubt, ``all`` for all.
        ids: By their ids.
    """

    classes: list[str] = []
    ids: list[str] = []


class Drain(msgspec.Struct, tag="drain", tag_field="do", frozen=True, forbid_unknown_fields=True):
    """Start no more sessions, let the open ones end, and end the run as SIGTERM does."""


class Tell(msgspec.Struct, tag="tell", tag_field="do", frozen=True, forbid_unknown_fields=True):
    """Say how the run stands, and change nothing."""


Request: TypeAlias = Pause | Resume | Set | Requeue | Drain | Tell


class AccountState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run stands with one of several accounts with a provider.

    Attributes:
        account: Its name.
        sessions_open: As in `ServiceState`, and so is what follows.
        concurrency: Sessions that may be open now.
        waits_seconds: For how long no session starts.
        is_out_of_reach: Whether the service cannot be reached with it.
        has_left: Whether it takes no more sessions in this run.
        spent: Money, over all runs in the folder; None if it has no budget of its own.
        budget: What may be spent with it; None for no limit of its own.
    """

    account: str
    sessions_open: int
    concurrency: int
    waits_seconds: float = 0.0
    is_out_of_reach: bool = False
    has_left: bool = False
    spent: float | None = None
    budget: float | None = None


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands with one provider.

    Attributes:
        provider: Its name.
        sessions_open: Sessions that hold a slot.
        concurrency: Sessions that may be open now.
        most: Sessions that may ever be open.
        waits_seconds: For how long no session starts, as the service asked for; 0 if they may.
        is_out_of_reach: Whether it cannot be reached, and one session at a time looks for it.
        accounts: How it stands with each account, if there are several.
    """

    provider: str
    sessions_open: int
    concurrency: int
    most: int
    waits_seconds: float = 0.0
    is_out_of_reach: bool = False
    accounts: list[AccountState] = []


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands.

    Attributes:
        state: ``running``, ``paused``, ``waiting`` for a limit to be raised, or ``stopping``.
        paused_since: Unix time; 0 if it is not paused.
        folder: The run folder.
        pid: Of its process.
        began_at: Unix time.
        sessions_open: Sessions that hold a slot.
        done: Jobs done in this run.
        suspect: Jobs that ended in doubt in it.
        failed: Jobs that failed in it; one that has gone again counts each time.
        waiting: Jobs and segments that wait for another try.
        settings: Those that can be changed, as they are.
        spent: What was spent, over all runs in the folder.
        limit_reached: The limit that has no room, in a sentence; empty if there is none.
        services: How it stands with each provider.
    """

    state: str
    paused_since: float
    folder: str
    pid: int
    began_at: float
    sessions_open: int
    done: int
    suspect: int
    failed: int
    waiting: int
    settings: dict[str, str]
    spent: Price
    limit_reached: str
    services: list[ServiceState]


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run answers: how it stands once what was asked is done and kept, or why it is not done.

    Attributes:
        run: How it stands.
        said: What was done, in a sentence.
        error: Why nothing was done.
        hint: What to do about that.
    """

    run: RunFacts | None = None
    said: str = ""
    error: str = ""
    hint: str = ""


_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def encode_line(message: Request | Reply) -> bytes:
    """Write a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        UsageError: It is none.
    """
    try:
        request: Request = _requests.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"that is no request: {error}") from error
    return request


def decode_reply(line: bytes) -> Reply:
    """Read a reply.

    Raises:
        BatchjobsError: It is none.
    """
    try:
        return _replies.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BatchjobsError(
            f"the run's answer cannot be read: {error}",
            hint="it may be of another version of batchjobs; 'batchjobs status' looks at its folder",
        ) from error
