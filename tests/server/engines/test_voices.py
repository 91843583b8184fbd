"""The local server's voices: each name in the list is a voice of its own, and typing errors are found."""

import pytest

from batchjobs.providers import BUILT_IN
from batchjobs.server.engines.espeak import choose_variant
from batchjobs.server.engines.voices import VARIANTS, VOICES, find_near, has_voice


def test_each_voice_in_the_list_is_one_of_its_own() -> None:
    """Two languages, twelve of espeak-ng's variants each."""
    assert len({(voice.language, choose_variant(voice.id)[0]) for voice in VOICES}) == 24
    assert [voice.id for voice in VOICES] == list(VARIANTS)
    assert choose_variant("AR-female-3")[0] == "f3"


@pytest.mark.parametrize(
    "name", [BUILT_IN["local"].voice, "ar-hijazi-female-1", "EN_us_male", "ar-male-12", "en-male-2"]
)
def test_names_that_say_what_they_are_will_do(name: str) -> None:
    """Hosted voices' names are such, and are rehearsed by a voice of that kind."""
    assert has_voice("auto", name)


@pytest.mark.parametrize("name", ["nobody", "سارة", "ar-najdi-mael-2", "en", "", "cl-8f21"])
def test_names_that_say_nothing_are_none_of_its_own(name: str) -> None:
    """They would be spoken by any voice; tones have none, and take every name."""
    assert not has_voice("auto", name)
    assert has_voice("tone", name)


def test_a_misspelt_name_finds_its_own() -> None:
    """Also that of the provider's default."""
    assert find_near("ar-najdi-mael-2", "ar-najdi-male-2")[0] == "ar-najdi-male-2"
    assert "en-female-4" in find_near("EN-femal-4")
    assert find_near("سارة") == []
