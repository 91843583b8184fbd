"""The error tree: each class knows what the run does about it and which exit code it ends with."""

import enum
import re
from pathlib import Path
from typing import ClassVar, Final

__all__ = [
    "BatchjobsError",
    "BudgetReachedError",
    "ConfigurationError",
    "DecoderMissingError",
    "DiskError",
    "DiskFullError",
    "EngineError",
    "InternalError",
    "JobsFailedError",
    "KeyRefusedError",
    "LostError",
    "ManifestError",
    "MisconfiguredError",
    "MissingExtraError",
    "MuteError",
    "NoRunError",
    "NotBegunError",
    "OutputError",
    "PermanentError",
    "QuotaSpentError",
    "Reaction",
    "RecordingError",
    "ReviewError",
    "RunLockedError",
    "ServiceUnavailableError",
    "SessionError",
    "StopError",
    "SuspectError",
    "ThrottledError",
    "TimedOutError",
    "TrackMissingError",
    "TransientError",
    "UntrustedError",
    "UsageError",
    "WrongFormatError",
]


PYTHON_NAMES: Final[dict[str, str]] = {}
"""What options of the command line are called in Python; `batchjobs.options` fills it in."""
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


class Reaction(enum.StrEnum):
    """What the run does after an attempt that failed."""

    STOP = "stop"
    """Stop the whole run: the same key or wallet serves every job."""
    FAIL = "fail"
    """Fail this job and never retry it by itself."""
    THROTTLE = "throttle"
    """Lower the concurrency, wait, try again; uses up no attempt."""
    RETRY = "retry"
    """Try again with backoff, up to the attempt limit."""


class BatchjobsError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: What is wrong and where, as one sentence without a full stop.
        hint: What to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def describe(self) -> str:
        """Give the message and, after a semicolon, the hint, with the command line's names."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        """Give the same as a program's author reads it: ``--retry-failed`` is `Options.retry_failed`."""
        return _OPTION.sub(lambda found: PYTHON_NAMES.get(found[0], found[0]), self.describe())


# -- errors that end a command -----------------------------------------------------------------


class UsageError(BatchjobsError):
    """The command or call was put together wrongly."""

    exit_code = 2


class ManifestError(BatchjobsError):
    """The manifest cannot be run as it stands; nothing was spent."""

    exit_code = 65


class RecordingError(ManifestError):
    """A recording that a row names cannot be read safely, or holds no audio."""


class DecoderMissingError(RecordingError):
    """A recording is good, and what reads its kind comes with an extra that is not installed."""


class TrackMissingError(RecordingError):
    """A recording has fewer audio tracks than its row asks for."""


class ReviewError(ManifestError):
    """A file of decisions cannot be carried out as it stands; nothing was changed."""


class NoRunError(BatchjobsError):
    """The folder holds no run."""

    exit_code = 2


class ServiceUnavailableError(BatchjobsError):
    """The service cannot be used now: unreachable, or the account's quota is spent."""

    exit_code = 69


class InternalError(BatchjobsError):
    """A mistake of ours."""

    exit_code = 70


class JobsFailedError(BatchjobsError):
    """A run came to its end, and some of its jobs have no good result.

    Args:
        folder: The run folder.
        failed: How many failed.
        suspect: How many have a result that something speaks against.
        report: The file that says why.
    """

    exit_code = 1

    def __init__(self, folder: Path, *, failed: int, suspect: int, report: Path) -> None:
        counts = {"failed": failed, "are suspect": suspect}
        shown = " and ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        super().__init__(f"of the jobs in {folder}, {shown}", hint=f"{report} says why")
        self.folder = folder
        self.failed = failed
        self.suspect = suspect


class OutputError(BatchjobsError):
    """An output file or folder cannot be created."""

    exit_code = 73


class DiskError(BatchjobsError):
    """The disk failed or refused a write; what was not yet on it is not called done."""

    exit_code = 74


class DiskFullError(DiskError):
    """No space, quota or file size left."""


class RunLockedError(BatchjobsError):
    """Another run holds this run folder."""

    exit_code = 75


class KeyRefusedError(BatchjobsError):
    """The service refused the key."""

    exit_code = 77


class ConfigurationError(BatchjobsError):
    """A setting, provider or key is missing or wrong."""

    exit_code = 78


class MissingExtraError(ConfigurationError):
    """An optional package is not installed.

    Args:
        what: What needs it, for the message.
        package: The distribution that is missing.
        extra: The extra of this project that brings it.
    """

    def __init__(self, what: str, *, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}, which is not installed",
            hint=f"pip install 'batchjobs[{extra}]'",
        )


class EngineError(BatchjobsError):
    """A speech engine of the local server failed."""


class BudgetReachedError(BatchjobsError):
    """A limit on money, characters or seconds leaves no room for the next job."""

    exit_code = 80


# -- errors of one attempt ---------------------------------------------------------------------


class SessionError(BatchjobsError):
    """One attempt at a session failed.

    Args:
        message: What happened, without any secret.
        code: The service's code, HTTP status or close code, as text; empty if there is none.
        retry_after_seconds: How long the service asks to wait, if it says.
        hint: What to do about it.
    """

    reaction: ClassVar[Reaction] = Reaction.RETRY
    label: ClassVar[str] = "transient"
    """The class by which failures are counted and shown."""
    ends_as: ClassVar[type[BatchjobsError]] = ServiceUnavailableError
    """The error that a command ends with, if it cannot go on after this one."""
    ends_account: ClassVar[bool] = False
    """Whether it says that this account is of no more use, and nothing of others."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retry_after_seconds: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        """Give it as it stands in records, events and logs, whoever has started the run."""
        return self.describe()


class StopError(SessionError):
    """The key was refused, or the like: no other job could fare better."""

    reaction = Reaction.STOP
    label = "refused"
    ends_as: ClassVar[type[BatchjobsError]] = KeyRefusedError
    ends_account = True


class QuotaSpentError(StopError):
    """The account's balance is spent."""

    ends_as = ServiceUnavailableError


class UntrustedError(StopError):
    """The service's certificate is not to be trusted: the key does not go there."""

    ends_as = ServiceUnavailableError


class MisconfiguredError(StopError):
    """The service knows a parameter not, or not with that value: it would refuse every session so."""

    ends_as = ConfigurationError
    ends_account = False


class WrongFormatError(StopError):
    """The service sends speech in a form that cannot be used: every further text would be lost."""

    ends_as = ServiceUnavailableError
    ends_account = False


class PermanentError(SessionError):
    """The service will never accept this job as it is."""

    reaction = Reaction.FAIL
    label = "permanent"


class ThrottledError(SessionError):
    """The service asks for fewer or slower sessions."""

    reaction = Reaction.THROTTLE
    label = "throttled"


class TransientError(SessionError):
    """The service or the way to it failed for now."""


class TimedOutError(TransientError):
    """A deadline of ours passed."""

    label = "timeout"


class LostError(SessionError):
    """The process that had the session is gone: what it sent is counted whole, and nobody is to blame."""

    label = "lost"


class NotBegunError(LostError):
    """The process that was to have the session has not begun it: nothing was sent, and no attempt is used up."""

    label = "cancelled"


class MuteError(TimedOutError):
    """The service connected, initialised and took the text, and no audio came at all."""


class SuspectError(TransientError):
    """A result came, and something speaks against it."""

    label = "suspect"
