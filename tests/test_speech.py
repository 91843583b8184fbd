"""The terms of the services' API are told alike wherever somebody reads them."""

from batchjobs.jobs import SpeechSettings
from batchjobs.manifest import KNOWN_COLUMNS
from batchjobs.manifest.cells import NUMBER_RANGES
from batchjobs.protocol.messages import VoiceSettings
from batchjobs.speech import DEFAULT_OUTPUT_FORMAT, FASTEST, OUTPUT_FORMATS, SLOWEST


def test_every_output_format_names_its_rate() -> None:
    """A format is told apart by its sample rate alone."""
    rates = [
        SpeechSettings(voice_id="v", model_id="m", output_format=name).sample_rate
        for name in OUTPUT_FORMATS
    ]
    assert rates == [8_000, 16_000, 22_050, 24_000]
    assert DEFAULT_OUTPUT_FORMAT in OUTPUT_FORMATS


def test_a_voice_s_defaults_are_the_same_in_a_row_and_in_a_message() -> None:
    """What no row says is asked for as the service itself would take it."""
    asked, default = SpeechSettings(voice_id="v", model_id="m"), VoiceSettings()
    assert [(name, getattr(asked, name)) for name in NUMBER_RANGES] == [
        (name, getattr(default, name)) for name in NUMBER_RANGES
    ]


def test_the_columns_descriptions_agree_with_the_terms() -> None:
    """What a user reads about a column is what its rule says."""
    assert all(name in KNOWN_COLUMNS["output_format"] for name in OUTPUT_FORMATS)
    assert f"{SLOWEST} to {FASTEST}" in KNOWN_COLUMNS["speed"]
