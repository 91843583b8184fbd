"""Texts: sentences, messages, segments, how much there is to say, and ids as file names."""

from batchjobs.text.measures import script, spoken_weight
from batchjobs.text.names import file_stem
from batchjobs.text.segments import TextSegment, segments
from batchjobs.text.sentences import messages, sentences
from batchjobs.text.sounds import Sounds, sounds

__all__ = [
    "Sounds",
    "TextSegment",
    "file_stem",
    "messages",
    "script",
    "segments",
    "sentences",
    "sounds",
    "spoken_weight",
]
