"""The voices of the local server: those that it has, and those whose names say what it can do."""

import difflib
import re
from collections.abc import Mapping
from typing import Final

from batchjobs.speech import Voice

_LANGUAGES: Final = {"ar": "Arabic", "en": "English"}
_VARIANTS: Final = {"female": 5, "male": 7}  # espeak-ng's f1 to f5, m1 to m7
_VOICELESS: Final = frozenset({"tone"})
"""Engines that sound the same whoever is asked for."""
_TELLING: Final = re.compile(r"(?:ar|en)(?:[-_].*)?[-_](?:fe)?male(?:[-_].*)?", re.IGNORECASE)
"""Names that say a language and whether a woman speaks, as the hosted services' do."""

VARIANTS: Final[Mapping[str, str]] = {
    f"{language}-{gender}-{number}": f"{gender[0]}{number}"
    for language in _LANGUAGES
    for gender, count in _VARIANTS.items()
    for number in range(1, count + 1)
}
"""espeak-ng's variant of each voice that the local server has by name."""
VOICES: Final = tuple(
    Voice(id=name, gender=name.split("-")[1], language=_LANGUAGES[name[:2]]) for name in VARIANTS
)


def has_voice(engine: str, voice_id: str) -> bool:
    """Whether the local server has a voice of this name, or the name says enough to choose one by.

    Any other name is spoken too, by a voice chosen at random for good: manifests of hosted
    services can be rehearsed.

    Args:
        engine: The engine that speaks.
        voice_id: The voice's name.
    """
    is_telling = _TELLING.fullmatch(voice_id) is not None
    return engine in _VOICELESS or voice_id in VARIANTS or is_telling


def find_near(voice_id: str, *known: str) -> list[str]:
    """Find the voices with names like this one.

    Args:
        voice_id: The name.
        known: Voices beside those of the local server.
    """
    return difflib.get_close_matches(voice_id.casefold(), [*known, *VARIANTS], n=3)
