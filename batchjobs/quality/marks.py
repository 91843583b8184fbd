"""What was heard beside what was to be said, for the eye: the words of each that differ."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from batchjobs.quality.compare import load_library
from batchjobs.quality.normalize import Token, tokenize
from batchjobs.text.words import find_words


def mark_differences(text: str, heard: str) -> tuple[list[str], list[str]]:
    """Cut two texts where they differ, word by word, by what `compare` takes for the same.

    Args:
        text: To be said.
        heard: The transcript.

    Returns:
        The pieces of each, which joined are the text to the letter: by turns what is the same on the
        other side, and what is not. The first is what is the same, and may be empty.

    Raises:
        MissingExtraError: The library that aligns texts is not installed.
    """
    said, _ = tokenize(text)
    found, _ = tokenize(heard)
    differing: list[Token] = []
    heard_differing: list[Token] = []
    opcodes = load_library().opcodes([each.text for each in said], [each.text for each in found])
    for operation, begin, end, heard_begin, heard_end in opcodes:
        if operation != "equal":
            differing += said[begin:end]
            heard_differing += found[heard_begin:heard_end]
    return _cut(text, differing), _cut(heard, heard_differing)


def _cut(text: str, tokens: Sequence[Token]) -> list[str]:
    words = find_words(text)
    edges = [0]
    for first, last in _join_neighbours(tokens):
        edges += [words[first][0], words[last][1]]
    return [text[begin:end] for begin, end in pairwise([*edges, len(text)])]


def _join_neighbours(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Put words together that stand side by side: one mark is easier on the eye than many."""
    run: tuple[int, int] | None = None
    for token in tokens:
        if run is not None and token.first <= run[1] + 1:
            run = run[0], max(run[1], token.last)
        else:
            if run is not None:
                yield run
            run = token.first, token.last
    if run is not None:
        yield run
