"""XHTML as prose: paragraphs and headings, without notes, pictures and navigation."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from batchjobs.book.letters import clean_letters, is_speakable
from batchjobs.book.marks import (
    RAISED_MARK,
    WRITTEN_PAGE,
    Noise,
    drop_cap,
    find_noise,
    hidden_selectors,
    is_for_reading,
    is_hidden,
    is_mark_after,
    is_noise,
    is_note_mark,
)
from batchjobs.formatting import plural

_SILENT: Final = frozenset(
    "script style head title audio video object iframe form rt rp template".split()
)
_NOISE_TAGS: Final = {"nav": Noise.MATTER, "svg": Noise.DRAWN, "figcaption": Noise.CAPTION}
_BLOCKS: Final = frozenset(
    """
    p div h1 h2 h3 h4 h5 h6 li dt dd blockquote section article header footer main aside body pre
    table tr ul ol dl figure figcaption hr address center caption hgroup details summary
    """.split()
)
_CELLS: Final = frozenset(["td", "th"])
_VOID: Final = frozenset(
    "br hr img meta link input wbr col area base embed source track param".split()
)
_NOTES: Final = frozenset("p li div aside dd dt tr td table blockquote section".split())
_LONGEST_NOTE: Final = 6_000
"""An element that only its links call a note, and holds more, is none."""
_CHARACTERS: Final = "CDATA["
_WHITE_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_HEADING_TAG: Final = re.compile("h([1-6])")
_DRAWN_MATHS: Final = frozenset(
    "mfrac msqrt mroot msup msub msubsup munder mover munderover mtable".split()
)
_SUPERSCRIPT: Final = frozenset(["sup", "superscript", "super"])
_RAISED: Final = str.maketrans("0123456789٠١٢٣٤٥٦٧٨٩+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_RAISED_MARK: Final = re.compile(
    r"\s*(?:[\[(]?[-−+]?\d{1,3}[\])]?(?:\s*[,–-]\s*\d{1,3})*|[*†‡§¶]{1,3})\s*"
)
_WORD_END: Final = re.compile(
    r"(?:[^\W\d_][\u064b-\u065f]*){3}$|[.,;:!?…»”’\"')\]،؛؟]$|(?<!\d)(?:[1١]\d|20|٢٠)\d\d$"
)
"""What a raised number after it is no power of: a word (not "km"), its full stop, a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph or heading.

    Attributes:
        text: Its text; line breaks stand where the page has them.
        heading_level: 1 to 6; 0 for a paragraph.
    """

    text: str
    heading_level: int = 0


def join_blocks(blocks: Sequence[Block]) -> str:
    """Write blocks as paragraphs with a blank line between them."""
    return "\n\n".join(block.text for block in blocks)


@dataclass(slots=True)
class _Open:
    """An element that is open: what it is, and where its text begins."""

    tag: str
    given: dict[str, str]
    is_silent: bool
    noise: Noise | None
    first_block: int
    begins_at: int = 0
    links_within: bool = False
    raises: bool = False
    is_linked_note: bool = False
    words: str = ""
    """What is said in its place, such as a formula's."""


@dataclass(slots=True)
class _Anchor:
    """A place that a link may name, in the paragraph that is being read."""

    name: str
    at: int


@dataclass(slots=True)
class LeftOut:
    """How much of a kind is not read aloud."""

    times: int = 0
    characters: int = 0


def tell_left_out(left_out: Mapping[Noise, LeftOut]) -> Iterator[str]:
    """Say what is not read aloud, a line for each kind."""
    for noise, left in left_out.items():
        yield f"{noise.value}: {left.times:,} ({plural(left.characters, 'character')})"


class Prose(HTMLParser):
    """Reads a page. Tolerant as browsers are, and fetches nothing.

    Args:
        sheets: The style sheets that it names: what they hide is not read.
        notes: The ids of its elements that are notes.

    Attributes:
        blocks: The paragraphs and headings.
        places: For each id in the page the number of the block that follows it.
        left_out: What is not read, by its kind.
    """

    def __init__(self, sheets: Iterable[str] = (), notes: Collection[str] = ()) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.places: dict[str, int] = {}
        self.left_out: dict[Noise, LeftOut] = {}
        self._sheets = list(sheets)
        self._hidden = hidden_selectors(self._sheets)
        self._notes = notes
        self._anchors: list[_Anchor] = []
        self._open: list[_Open] = []
        self._text = ""
        self._level = 0
        self._cap = ""
        self._closes_bracket = False

    @classmethod
    def of(cls, page: str, sheets: Iterable[str] = (), notes: Collection[str] = ()) -> "Prose":
        """Read a whole page."""
        prose = cls(sheets, notes)
        prose.feed(page)
        prose.close()
        prose._close_down_to(0)
        prose._end_block()
        return prose

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        tag = tag.rpartition(":")[2]  # <h:p> is a paragraph
        given = {_attribute(name): value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._end_block()
        for name in ("id", "name") if tag == "a" else ("id",):
            if given.get(name) and given[name] not in self.places:
                self.places[given[name]] = len(self.blocks)
                self._anchors.append(_Anchor(given[name], len(self._text)))
        above = self._open[-1].is_silent if self._open else False
        breaks = tag == "br" or (tag in _CELLS and self._text.strip() != "")
        if breaks and not above:
            self._text += "\n"
        if tag == "img" and not above:
            self._read_picture(given)
        if tag in _VOID:
            return
        if found := _HEADING_TAG.fullmatch(tag):
            self._level = int(found[1])
        self._open.append(self._judge_start(tag, given, above=above))

    def _judge_start(self, tag: str, given: dict[str, str], *, above: bool) -> _Open:
        """Judge an element by its role; what it holds is judged at its end."""
        if (given.get("id") or given.get("name")) in self._notes:
            return self._open_note(tag, given, above=above)
        raised = not _SUPERSCRIPT.isdisjoint([tag, *given.get("class", "").lower().split()])
        words = given.get("alttext", "") if tag == "math" else ""
        started = _Open(
            tag,
            given,
            above or tag in _SILENT or bool(words) or tag.startswith("annotation"),
            _NOISE_TAGS.get(tag) or find_noise(tag, given),
            len(self.blocks),
            len(self._text),
            links_within=tag == "a" and "#" in given.get("href", ""),
            raises=raised,
            words=words,
        )
        # <sup><a href="#n1">1</a></sup>, <a href="#n1"><sup>1</sup></a>: a note's mark.
        around = started.links_within and any(e.raises for e in self._open)
        within = raised and any(e.links_within for e in self._open)
        if is_hidden(tag, given, self._hidden):
            started.noise = Noise.HIDDEN
        elif around or within:
            started.noise = Noise.MARK
        elif tag in _DRAWN_MATHS:
            for each in self._open:
                each.noise = Noise.FORMULA if each.tag == "math" else each.noise
        return started

    def _open_note(self, tag: str, given: dict[str, str], *, above: bool) -> _Open:
        """Open a note that its links show; a link that is one stands for its paragraph."""
        note = _Open(
            tag,
            given,
            above,
            find_noise(tag, given),
            len(self.blocks),
            len(self._text),
            "href" in given,
        )
        around = [] if _HEADING_TAG.fullmatch(tag) else [*reversed(self._open)]
        for each in [note, *around]:
            if _HEADING_TAG.fullmatch(each.tag) or each.tag == "body":
                break
            if each.tag in _NOTES:
                each.noise, each.is_linked_note = Noise.NOTE, True
                break
        return note

    def _read_picture(self, given: dict[str, str]) -> None:
        """Read a picture of a formula, or of the letter that a paragraph begins with."""
        alt = given.get("alt", "")
        role = f"{given.get('class', '')} {given.get('role', '')}".lower()
        if re.search(r"\b(?:math|equation|formula)", role) and is_speakable(alt):
            self._text += alt
        elif not self._text and drop_cap(alt):
            self._text = self._cap = drop_cap(alt)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and whatever was left open in it."""
        tag = tag.rpartition(":")[2]
        depths = [depth for depth, each in enumerate(self._open) if each.tag == tag]
        if depths:
            self._close_down_to(depths[-1])
        if tag in _BLOCKS:
            self._end_block()

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self._close(self._open.pop())

    def _close(self, last: _Open) -> None:
        """Close an element, and take out what it holds if that is noise."""
        if last.is_silent:
            if last.words and not any(each.is_silent for each in self._open):
                self._text += last.words
            return
        text = "\n\n".join(
            [*(b.text for b in self.blocks[last.first_block :]), self._text[last.begins_at :]]
        ).strip("\n")
        is_taken = last.noise and is_noise(last.noise, text, last.given, heads=self._level > 0)
        is_taken = is_taken and not (last.is_linked_note and len(text) > _LONGEST_NOTE)
        if last.noise and is_taken:
            self._take_out(last, last.noise, text)
        elif last.links_within and self._is_mark(last, text):
            self._take_out(last, Noise.MARK, text)
        elif last.raises and not any(each.links_within for each in self._open):
            self._read_raised(last, text)

    def _is_mark(self, link: _Open, text: str) -> bool:
        before = self._text[: link.begins_at]
        if before.endswith("[") and is_note_mark(text):
            return True
        return len(self.blocks) == link.first_block and is_mark_after(before, text)

    def _read_raised(self, raised: _Open, text: str) -> None:
        """Read 10⁶ as a power, and the mark of a note not at all."""
        before = self._text[: raised.begins_at]
        if len(self.blocks) != raised.first_block or not _RAISED_MARK.fullmatch(text):
            return
        if _WORD_END.search(before):
            self._take_out(raised, Noise.MARK, text)
        elif before[-1:].isdigit():
            self._text = before + text.strip().translate(_RAISED)

    def _take_out(self, last: _Open, noise: Noise, text: str) -> None:
        del self.blocks[last.first_block :]
        self._text = self._text[: last.begins_at]
        if last.noise is Noise.HIDDEN or last.tag in _BLOCKS:
            self._level = self._level if self._text else 0
        if noise is Noise.MARK and self._text.endswith("["):
            self._text = self._text[:-1]
            self._closes_bracket = True
        if text.strip():
            left = self.left_out.setdefault(noise, LeftOut())
            left.times += 1
            left.characters += len(text.strip())

    def unknown_decl(self, data: str) -> None:
        """Read a section of characters that are not marks."""
        if data.startswith(_CHARACTERS):
            self.handle_data(data.removeprefix(_CHARACTERS))

    def handle_data(self, data: str) -> None:
        """Read text."""
        if self._open and self._open[-1].tag == "style" and is_for_reading(self._open[-1].given):
            self._sheets.append(data)
            self._hidden = hidden_selectors(self._sheets)
        if self._open and self._open[-1].is_silent:
            return
        if self._closes_bracket and data:
            data = data.removeprefix("]")
            self._closes_bracket = False
        if any(each.tag == "pre" for each in self._open):
            self._text += data
            return
        text = _WHITE_SPACE.sub(" ", data)
        if any(each.tag == "math" for each in self._open):
            text = f" {text.strip()} " if text.strip() else ""
        if not self._text or self._text.endswith((" ", "\n")):
            text = text.removeprefix(" ")
        if self._cap and self._text == self._cap and self._cap not in "AIO":
            text = text.lstrip()
        self._text += text

    def _strip_marks(self, text: str) -> str:
        """Take out note marks and page numbers that are only written so."""
        for noise, pattern in ((Noise.MARK, RAISED_MARK), (Noise.PAGE_NUMBER, WRITTEN_PAGE)):
            text, times = pattern.subn("", text)
            if times:
                left = self.left_out.setdefault(noise, LeftOut())
                left.times += times
                left.characters += times
        return text

    def _end_block(self) -> None:
        lines = [clean_letters(line).strip(" \t") for line in self._text.split("\n")]
        text = self._strip_marks("\n".join(lines).strip("\n"))
        if text and text != self._cap:  # a letter's picture alone begins no word
            for anchor in self._anchors:
                after = self._text[anchor.at :]
                if is_speakable(self._text[: anchor.at]) and not is_speakable(after):
                    self.places[anchor.name] = len(self.blocks) + 1
            self.blocks.append(Block(text=text, heading_level=self._level))
        self._text, self._level, self._cap = "", 0, ""
        self._closes_bracket = False
        self._anchors.clear()
        for each in self._open:
            each.begins_at = 0


def _attribute(name: str) -> str:
    """Write ``ops:type`` as ``epub:type``, as a page may call the same."""
    return "epub:type" if name.endswith(":type") else name


def headings(blocks: Sequence[Block]) -> Iterator[str]:
    """Give the headings of a page, on one line each."""
    for block in blocks:
        if block.heading_level:
            yield " ".join(block.text.split())
