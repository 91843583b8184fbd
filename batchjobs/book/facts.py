"""What a package document says of its book: title, people by their roles, date, series, description."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batchjobs.book.archive import all_below, attribute_of, text_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_AUTHOR: Final = "aut"
_NARRATOR: Final = "nrt"
_ROLES: Final = {"author": _AUTHOR, "narrator": _NARRATOR, "reader": _NARRATOR}
"""Roles that are written out, by MARC's codes, which are the rule."""
_DATES: Final = ("publication", "", "issued", "original-publication", "creation")
"""Events by how well they say when a book appeared; others, such as modification, do not say it."""
_DAY: Final = re.compile(r"(\d{4})(-\d\d(?:-\d\d)?)?(?=\D|$)")
_UNKNOWN_YEARS: Final = frozenset(["0000", "0001", "0100", "0101"])
"""What converters write for a date that they do not know."""
_TAG: Final = re.compile(r"<[^<>]*>")


@dataclass(slots=True, kw_only=True)
class Facts:
    """What a book says of itself.

    Attributes:
        title: Its main title.
        authors: In order.
        others: ``language``, ``publisher``, ``identifier``, ``date``, ``narrator``, ``series``,
            ``series_index`` and ``description``, where they are given.
    """

    title: str = ""
    authors: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)


def read_facts(package: "Element") -> Facts:
    """Read the facts of a package document, of EPUB 2 or 3."""
    refined = _read_refinements(package)
    titles = [(text, refined.get(e.get("id", ""), {})) for e, text in _each(package, "title")]
    main = [text for text, more in titles if more.get("title-type") == "main"]
    people = [
        (name, text, _roles_of(e, refined.get(e.get("id", ""), {})))
        for name in ("creator", "contributor")
        for e, text in _each(package, name)
    ]
    found = {name: next((t for _, t in _each(package, name)), "") for name in _PLAIN}
    found["date"] = _find_date(package)
    found["narrator"] = ", ".join(
        dict.fromkeys(text for _, text, roles in people if _NARRATOR in roles)
    )
    found["series"], found["series_index"] = _find_series(package, refined)
    found["description"] = _strip_markup(found["description"])
    return Facts(
        title=next(iter(main or [text for text, _ in titles]), ""),
        authors=_find_authors(people),
        others={name: value for name, value in found.items() if value},
    )


_PLAIN: Final = ("language", "publisher", "identifier", "description")


def _each(root: "Element", name: str) -> "Iterator[tuple[Element, str]]":
    """Give the elements of a name that hold a text, with it."""
    for element in all_below(root, name):
        if text := text_of(element):
            yield element, text


def _read_refinements(package: "Element") -> dict[str, dict[str, str]]:
    """Read what EPUB 3 says of other elements, by their ids and its properties."""
    found: dict[str, dict[str, str]] = {}
    for meta, text in _each(package, "meta"):
        about = meta.get("refines", "").removeprefix("#")
        if about:
            found.setdefault(about, {}).setdefault(meta.get("property", ""), text)
    return found


def _roles_of(element: "Element", refined: Mapping[str, str]) -> frozenset[str]:
    given = [attribute_of(element, "role"), refined.get("role", "")]
    roles = (role.strip().rpartition("/")[2].lower() for role in given)
    return frozenset(_ROLES.get(role, role) for role in roles if role)


def _find_authors(people: list[tuple[str, str, frozenset[str]]]) -> list[str]:
    """Choose the authors: those called so, and creators without a role; else who created it."""
    creators = [(text, roles) for kind, text, roles in people if kind == "creator"]
    contributed = [text for kind, text, r in people if kind == "contributor" and _AUTHOR in r]
    chosen = (
        [text for text, roles in creators if not roles or _AUTHOR in roles]
        or contributed
        or [text for text, roles in creators if roles != {_NARRATOR}]
    )
    return list(dict.fromkeys(chosen))


def _find_date(package: "Element") -> str:
    """Find when the book appeared, as far as it is known: to the year, the month or the day."""
    dates: dict[str, str] = {}
    for element, text in _each(package, "date"):
        dates.setdefault(attribute_of(element, "event").lower(), text)
    for meta, text in _each(package, "meta"):
        if meta.get("property") in {"dcterms:issued", "dcterms:date"}:
            dates.setdefault("issued", text)
    for event in _DATES:
        text = dates.get(event, "")
        day = _DAY.match(text)
        if text and not (day and day[1] in _UNKNOWN_YEARS):
            return day[0] if day else text
    return ""


def _find_series(package: "Element", refined: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Find the series, and the book's place in it, as EPUB 3 or Calibre writes them."""
    collections = [
        (refined.get(meta.get("id", ""), {}), text)
        for meta, text in _each(package, "meta")
        if meta.get("property") == "belongs-to-collection" and not meta.get("refines")
    ]
    # A book may belong to a set, and the set be in a series: who says that it is one goes first.
    collections.sort(key=lambda each: each[0].get("collection-type") != "series")
    named = {meta.get("name", ""): meta.get("content", "") for meta in all_below(package, "meta")}
    for more, text in collections:
        return text, _trim_index(more.get("group-position", ""))
    series = " ".join(named.get("calibre:series", "").split())
    return series, _trim_index(named.get("calibre:series_index", "")) if series else ""


def _trim_index(index: str) -> str:
    return re.sub(r"\.0+$", "", index.strip())


def _strip_markup(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())
