"""The formats of result files: which there are, what each can hold, and how libsndfile calls it.

Every other room asks here: the command line and the manifest for what may be chosen, the planning
and the checkpoint for the endings. Nothing heavy is imported, so that the help stays fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFormat:
    """A kind of result file.

    Attributes:
        major: libsndfile's name of the container.
        subtype: libsndfile's name of the coding.
        is_exact: Whether it gives back the very samples it was given.
        sample_rates: Those it can hold, in hertz.
    """

    major: str
    subtype: str
    is_exact: bool
    sample_rates: range | frozenset[int]


_MPEG_RATES: Final = frozenset(
    {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}
)

FORMATS: Final[Mapping[str, ResultFormat]] = MappingProxyType(
    {
        "wav": ResultFormat(
            major="WAV", subtype="PCM_16", is_exact=True, sample_rates=range(1_000, 768_001)
        ),
        "flac": ResultFormat(
            major="FLAC", subtype="PCM_16", is_exact=True, sample_rates=range(1_000, 655_351)
        ),
        # Well within what libsndfile 1.2.2 survives: beyond its own bounds it has ended the process.
        "ogg": ResultFormat(
            major="OGG", subtype="VORBIS", is_exact=False, sample_rates=range(1_000, 192_001)
        ),
        "mp3": ResultFormat(
            major="MP3", subtype="MPEG_LAYER_III", is_exact=False, sample_rates=_MPEG_RATES
        ),
    }
)
"""By name, which is a file's ending without its dot."""

ENDINGS: Final = tuple(f".{name}" for name in FORMATS)
EXACT_ENDINGS: Final = tuple(f".{name}" for name, each in FORMATS.items() if each.is_exact)
"""Of formats that give back the very samples: such a file can serve as another's source."""
LOSSY_ENDINGS: Final = tuple(ending for ending in ENDINGS if ending not in EXACT_ENDINGS)
