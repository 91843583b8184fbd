"""The error tree: reactions, exit codes and what a person reads."""

import inspect
import io
import pydoc

import pytest

import batchjobs
from batchjobs import errors
from batchjobs.errors import BatchjobsError, MissingExtraError, Reaction, SessionError
from batchjobs.protocol.messages import InvalidMessageError

_CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if value.__module__ == errors.__name__
]


def test_every_class_is_public_and_documented() -> None:
    """Each class of the tree is in `__all__` and has a docstring of its own."""
    assert {item.__name__ for item in _CLASSES} == set(errors.__all__)
    assert all(inspect.getdoc(item) for item in _CLASSES)


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("UsageError", 2),
        ("NoRunError", 2),
        ("ManifestError", 65),
        ("RecordingError", 65),
        ("ServiceUnavailableError", 69),
        ("BatchjobsError", 70),
        ("InternalError", 70),
        ("EngineError", 70),
        ("OutputError", 73),
        ("DiskError", 74),
        ("DiskFullError", 74),
        ("RunLockedError", 75),
        ("KeyRefusedError", 77),
        ("ConfigurationError", 78),
        ("MissingExtraError", 78),
        ("BudgetReachedError", 80),
    ],
)
def test_exit_codes_are_the_documented_ones(name: str, exit_code: int) -> None:
    """The exit code of each command's end is the one the design names."""
    assert getattr(errors, name).exit_code == exit_code


@pytest.mark.parametrize(
    ("kind", "reaction", "label"),
    [
        (errors.StopError, Reaction.STOP, "refused"),
        (errors.QuotaSpentError, Reaction.STOP, "refused"),
        (errors.UntrustedError, Reaction.STOP, "refused"),
        (errors.MisconfiguredError, Reaction.STOP, "refused"),
        (errors.WrongFormatError, Reaction.STOP, "refused"),
        (errors.PermanentError, Reaction.FAIL, "permanent"),
        (errors.ThrottledError, Reaction.THROTTLE, "throttled"),
        (errors.TransientError, Reaction.RETRY, "transient"),
        (errors.TimedOutError, Reaction.RETRY, "timeout"),
        (errors.SuspectError, Reaction.RETRY, "suspect"),
        (InvalidMessageError, Reaction.RETRY, "garbage"),
    ],
)
def test_attempts_know_their_reaction(
    kind: type[SessionError], reaction: Reaction, label: str
) -> None:
    """Each class of failed attempt knows what the run does and how it is counted."""
    assert (kind.reaction, kind.label) == (reaction, label)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (errors.StopError, errors.KeyRefusedError),
        (errors.QuotaSpentError, errors.ServiceUnavailableError),
        (errors.UntrustedError, errors.ServiceUnavailableError),
        (errors.MisconfiguredError, errors.ConfigurationError),
        (errors.WrongFormatError, errors.ServiceUnavailableError),
        (errors.TransientError, errors.ServiceUnavailableError),
    ],
)
def test_attempts_know_what_a_command_ends_as(
    kind: type[SessionError], end: type[BatchjobsError]
) -> None:
    """A refused key or setting has its own exit code; all else is a service that cannot be used now."""
    assert kind.ends_as is end


def test_labels_tell_the_classes_apart() -> None:
    """Failures are counted by label, so no two classes share one.

    But the base and its heir do, a service that says nothing at all is one more timeout, and all
    that stops a run is a refusal.
    """
    stops = {errors.QuotaSpentError, errors.UntrustedError, errors.WrongFormatError}
    alike = {SessionError, errors.MuteError, errors.MisconfiguredError, *stops}
    kinds = [item for item in _CLASSES if issubclass(item, SessionError) and item not in alike]
    assert len({kind.label for kind in kinds}) == len(kinds)


def test_text_ends_in_what_to_do() -> None:
    """What is shown is the message and then the hint, if there is one."""
    assert str(BatchjobsError("no space for x")) == "no space for x"
    assert str(BatchjobsError("no space for x", hint="make room")) == "no space for x; make room"


def test_session_errors_carry_the_services_words() -> None:
    """Code and waiting time travel beside the message."""
    error = SessionError("busy", code="42901", retry_after_seconds=3.0, hint="wait")
    assert (error.code, error.retry_after_seconds, error.hint) == ("42901", 3.0, "wait")
    assert SessionError("x").code == ""
    assert SessionError("x").retry_after_seconds is None


def test_a_missing_extra_says_how_to_install_it() -> None:
    """The hint is the command to type."""
    error = MissingExtraError("the engine 'sherpa'", package="sherpa-onnx", extra="sherpa")
    assert "sherpa-onnx" in error.message
    assert error.hint == "pip install 'batchjobs[sherpa]'"


def test_a_program_reads_its_own_names_for_settings() -> None:
    """An error that is raised names fields of `Options`; the command line's words are `describe`'s."""
    with pytest.raises(batchjobs.errors.UsageError) as caught:
        batchjobs.run(io.BytesIO(b"text\na\n"))
    assert "Options.output" in str(caught.value)
    assert "--output" not in str(caught.value)
    assert "--output" in caught.value.describe()
    error = batchjobs.errors.TransientError("no answer", hint="check --base-url")
    assert str(error) == error.describe() == "no answer; check --base-url"
    unknown = batchjobs.errors.UsageError("a--b and --unknown-option stay", hint="--skip-bad-rows")
    assert str(unknown) == "a--b and --unknown-option stay; Options.skip_bad_rows"


def test_the_help_of_the_library_shows_no_lambda() -> None:
    """Nobody could tell what it does."""
    for name in batchjobs.__all__:
        if callable(getattr(batchjobs, name)):
            assert "lambda" not in pydoc.render_doc(getattr(batchjobs, name))
