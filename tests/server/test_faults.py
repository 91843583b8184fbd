"""Faults as they are asked for, and the dice that choose their sessions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.cli.commands.serve import serve
from batchjobs.errors import UsageError
from batchjobs.jobs import Kind
from batchjobs.server.faults import FAULTS, Dice, Fault, FaultName, parse_fault


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("drop", Fault(name=FaultName.DROP)),
        ("  mute ", Fault(name=FaultName.MUTE)),
        ("slow", Fault(name=FaultName.SLOW, argument="0.05")),
        ("slow:.5", Fault(name=FaultName.SLOW, argument=".5")),
        ("throttle", Fault(name=FaultName.THROTTLE, argument="0")),
        ("throttle:8@0.5", Fault(name=FaultName.THROTTLE, argument="8", probability=0.5)),
        ("error:42901", Fault(name=FaultName.ERROR, argument="42901")),
        ('error:"50001"', Fault(name=FaultName.ERROR_STRING, argument="50001")),
        ("error-string", Fault(name=FaultName.ERROR_STRING, argument="50001")),
        ("close:4000#3", Fault(name=FaultName.CLOSE, argument="4000", sessions=3)),
        ("drop@.25#2", Fault(name=FaultName.DROP, probability=0.25, sessions=2)),
        ("handshake:503", Fault(name=FaultName.HANDSHAKE, argument="503")),
    ],
)
def test_a_fault_is_read_as_it_is_written(spec: str, fault: Fault) -> None:
    """NAME, an argument or its default, a probability and a count are understood."""
    assert parse_fault(spec) == fault


@pytest.mark.parametrize("name", list(FaultName))
def test_every_fault_can_be_asked_for_by_its_name(name: FaultName) -> None:
    """Each has an argument it can do without, and the command's help says what it does."""
    assert parse_fault(name).name is name
    assert name in (serve.help or "")


@given(
    name=st.sampled_from(list(FaultName)),
    probability=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    sessions=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_fault_written_out_is_read_back(
    name: FaultName, probability: float, sessions: int
) -> None:
    """``str`` and `parse_fault` are each other's inverse."""
    fault = Fault(
        name=name,
        argument=FAULTS[name].default or "",
        probability=probability,
        sessions=sessions,
    )
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "the faults are drop, hang"),
        ("dorp", "did you mean 'drop'?"),
        ("خطأ", "the faults are"),
        ("drop:3", "does not take an argument: 'drop:3'; as drop"),
        ("error:five", "does not take an argument like that: 'error:five'; as error:50001"),
        ("close:1006", "as close:1011"),
        ("close:999", "as close:1011"),
        ("handshake:200", "as handshake:503"),
        ("slow:-1", "as slow:0.05"),
        ("slow:0", "as slow:0.05"),
        ("slow:0.0", "as slow:0.05"),
        ("drop@2", "'2' in the fault 'drop@2' is no probability; give 0 to 1"),
        ("drop@often", "no probability"),
        ("drop#", "did you mean"),
        ("drop#0", "no fault 'drop#0'"),
        ("drop@0.5@0.5", "no fault"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused_with_what_does(spec: str, said: str) -> None:
    """The error names the closest fault, the list, or the form of the argument."""
    with pytest.raises(UsageError) as caught:
        parse_fault(spec)
    assert said in str(caught.value)


def _chosen(dice: Dice, kinds: list[Kind]) -> list[str]:
    chosen = [dice.choose(kind, open_sessions=1) for kind in kinds]
    return [fault.name if fault else "" for fault in chosen]


def test_the_same_seed_strikes_the_same_sessions() -> None:
    """Two servers with one seed misbehave alike, another seed differently."""
    faults = [parse_fault("drop@0.3"), parse_fault("hang@0.3")]
    kinds = [Kind.TTS] * 200
    first = _chosen(Dice(faults, seed=1), kinds)
    assert first == _chosen(Dice(faults, seed=1), kinds)
    assert first != _chosen(Dice(faults, seed=2), kinds)
    assert 35 < first.count("drop") < 90
    assert 20 < first.count("hang") < 70


def test_a_counted_fault_strikes_that_many_sessions() -> None:
    """After its count a fault leaves the sessions to the next one, or alone."""
    dice = Dice([parse_fault("drop#2"), parse_fault("hang#1")], seed=0)
    assert _chosen(dice, [Kind.STT] * 5) == ["drop", "drop", "hang", "", ""]


def test_a_fault_of_audio_never_strikes_a_transcription() -> None:
    """What only makes sense for synthesis is not counted against a transcription."""
    dice = Dice([parse_fault("half-sample#1")], seed=0)
    assert _chosen(dice, [Kind.STT, Kind.TTS, Kind.TTS]) == ["", "half-sample", ""]


def test_throttling_begins_above_its_number_of_open_sessions() -> None:
    """``throttle:2`` lets two sessions be open at once and strikes the third."""
    dice = Dice([parse_fault("throttle:2")], seed=0)
    struck = [dice.choose(Kind.TTS, open_sessions=n) is not None for n in (1, 2, 3)]
    assert struck == [False, False, True]


def test_probability_nought_never_strikes() -> None:
    """A fault of probability 0 is no fault."""
    assert set(_chosen(Dice([parse_fault("drop@0")], seed=0), [Kind.TTS] * 50)) == {""}
