"""Texts: sentences, messages, segments, how much there is to say, and ids as file names."""

from batchjobs.text.measures import ReadingTime, script_of, speech_weight, weigh_word
from batchjobs.text.names import file_stem
from batchjobs.text.segments import TextSegment, split_segments
from batchjobs.text.sentences import split_messages, split_sentences
from batchjobs.text.sounds import Sounds, count_sounds
from batchjobs.text.words import are_written_together, find_words, split_words, to_comparable

__all__ = [
    "ReadingTime",
    "Sounds",
    "TextSegment",
    "are_written_together",
    "count_sounds",
    "file_stem",
    "find_words",
    "script_of",
    "speech_weight",
    "split_messages",
    "split_segments",
    "split_sentences",
    "split_words",
    "to_comparable",
    "weigh_word",
]
