"""A book: its chapters in reading order, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A chapter: paragraphs with a blank line between them, headings among them."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A book as it will be read aloud.

    Attributes:
        title: Its title.
        authors: Its authors, in order.
        language: As the book says, such as ``ar``; may be empty.
        facts: What else it says of itself, such as its publisher, date and identifier.
        chapters: In reading order; none is empty.
        cover: The cover's picture, as it is in the book; empty if there is none.
        left_out: What is not read aloud, and why, a line each.
    """

    title: str
    authors: tuple[str, ...] = ()
    language: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()
    cover: bytes = b""
    left_out: tuple[str, ...] = ()
