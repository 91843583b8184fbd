"""Figures: each clip stands in the step of its value, whatever others are."""

from batchjobs.checkpoint import CheckedOutcome, SpentTotal
from batchjobs.providers import BUILT_IN
from batchjobs.report.figures import Measurements, make_costs
from batchjobs.report.rows import Known
from tests.builders import make_file, make_job, make_record, make_row, make_speech


def known(voice: str, seconds: float) -> Known:
    """Make a row whose clip is so long."""
    record = make_record(1, audio_seconds=seconds, files=(make_file(),))
    job = make_job("r1", "ten letters", speech=make_speech(voice_id=voice))
    return Known(CheckedOutcome(make_row(1), record, None), job)


def test_each_voice_has_its_own_bars_on_one_scale() -> None:
    """So that they can be compared; a clip out of all proportion stands in the last step."""
    measured = Measurements()
    for number in range(400):
        measured.add(known("one", 1.0 + number / 400))
        measured.add(known("two", 2.0 + number / 400))
    measured.add(known("two", 500.0))
    found = measured.make_histograms()["seconds"]
    assert isinstance(found, dict)
    assert found["low"] < 1.1
    assert 2.9 < found["high"] < 3.1
    one, two = found["voices"]["one"], found["voices"]["two"]
    assert (sum(one), sum(two)) == (400, 401)
    assert not any(one[17:])
    assert not any(two[:15])


def test_what_is_known_of_no_clip_has_no_picture() -> None:
    """No bars for error rates that nobody has measured, and none at all of no rows."""
    measured = Measurements()
    assert measured.make_histograms() == {}
    measured.add(known("one", 1.0))
    assert set(measured.make_histograms()) == {"seconds", "rate"}


def test_rates_are_compared_within_a_voice() -> None:
    """A voice that is slow by itself is not unusual; of too few clips nothing is said."""
    measured = Measurements()
    for number in range(40):
        measured.add(known("slow", 10.0 + number / 40))
        measured.add(known("fast", 1.0 + number / 400))
    measured.add(known("fast", 10.0))
    measured.add(known("rare", 99.0))
    deviations = measured.find_rate_deviations()
    assert abs(deviations[80]) > 10
    assert abs(deviations[:80]).max() < 3
    assert deviations[81] == 0


def test_costs_add_up_each_way() -> None:
    """By day, voice and result; what no provider is known for has no price."""
    spent = [
        SpentTotal("2026-01-01", "munsit", "v", "done", 3, 3_000_000, 0.0, 0.0),
        SpentTotal("2026-01-02", "munsit", "", "timeout", 1, 0, 3_600.0, 3_600.0),
        SpentTotal("2026-01-02", "nobody", "w", "", 2, 10, 1.5, 1.5),
    ]
    costs = make_costs(spent, BUILT_IN)
    provider = BUILT_IN["munsit"]
    by_day = {line[0]: line[1:] for line in costs["day"]}
    assert by_day["2026-01-01"] == [
        3,
        3_000_000,
        0.0,
        f"{provider.cost_of(characters=3_000_000):,.2f} USD",
    ]
    assert by_day["2026-01-02"][:3] == [3, 10, 3_601.5]
    assert [line[0] for line in costs["voice"]] == ["", "v", "w"]
    assert costs["voice"][2][-1] == "0"
    assert [line[0] for line in costs["result"]] == ["done", "open", "timeout"]
