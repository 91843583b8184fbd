"""What the books of the field have to become."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mutagen
import soundfile

from batchjobs.text import split_sentences
from tests.whole_runs import batchjobs

Lines = Iterator[tuple[str, str]]
Chapters = list[tuple[str, str]]
Judge = Callable[[Chapters, str], bool]

_CHAPTERS = ("Chapter 1", "Chapter 2", "Chapter 3")


def read(book: Path, room: Path) -> tuple[Chapters, str]:
    """Make a manifest of a book; gives its chapters (title, text) and what the command said."""
    made = room / f"{book.stem}.jsonl"
    done = batchjobs("book", book, "-o", made, "--force", cwd=room, expect=None)
    if done.returncode:
        return [], done.stdout + done.stderr
    rows = [json.loads(line) for line in made.read_text("utf-8").splitlines()]
    chapters = [
        (row["title"], (room / row["text_file"]).read_text("utf-8").strip()) for row in rows
    ]
    return chapters, done.stdout + done.stderr


def judge_books(judges: dict[str, Judge], folder: Path, room: Path) -> Lines:
    """Read each book and hold it against its judge."""
    for name, is_right in judges.items():
        chapters, said = read(folder / name, room)
        yield name, "" if is_right(chapters, said) else f"{chapters} {said[-300:]}"


def text_of(chapters: Chapters) -> str:
    """All of a book's text."""
    return "\n\n".join(text for _, text in chapters)


def holds(*wanted: str, without: tuple[str, ...] = ()) -> Judge:
    """The text has all of some pieces, and none of others."""
    return lambda chapters, _: (
        bool(chapters)
        and (
            all(piece in text_of(chapters) for piece in wanted)
            and not any(piece in text_of(chapters) for piece in without)
        )
    )


def has_titles(*titles: str) -> Judge:
    """The chapters are called so."""
    return lambda chapters, _: [title for title, _ in chapters] == list(titles)


def begins(*starts: tuple[str, str]) -> Judge:
    """The chapters are called so, and their texts begin so (perhaps after the title)."""
    return lambda chapters, _: (
        len(chapters) == len(starts)
        and all(
            title == wanted and text.removeprefix(title).strip().startswith(start)
            for (title, text), (wanted, start) in zip(chapters, starts, strict=True)
        )
    )


def both(*judges: Judge) -> Judge:
    """Several judges agree."""
    return lambda chapters, said: all(judge(chapters, said) for judge in judges)


def says(*words: str) -> Judge:
    """The command names what it left out."""
    return lambda _, said: all(word in said for word in words)


def ends(end: str) -> Judge:
    """The text ends so."""
    return lambda chapters, _: text_of(chapters).endswith(end)


def run_and_bind(book: Path, room: Path) -> Any:
    """Make an audiobook of a book, spoken in tones; gives it as mutagen reads it."""
    batchjobs("book", book, "-o", room / f"{book.stem}.jsonl", "--force", cwd=room)
    batchjobs("run", room / f"{book.stem}.jsonl", "--engine", "tone", "-q", cwd=room)
    batchjobs("bind", room / "outputs" / book.stem, cwd=room)
    return mutagen.File(next((room / "outputs" / book.stem).glob("*.m4b")))


def loop_long_texts(folder: Path, room: Path) -> Lines:
    """Speak texts longer than one session hears, hear them again, and compare."""
    batchjobs("run", folder / "len.jsonl", "--engine", "tone", "-q", "-o", room / "said", cwd=room)
    said = (room / "said" / "results.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, said) if row["kind"] == "tts"]
    heard = room / "said" / "heard.jsonl"
    heard.write_text(
        "".join(json.dumps({"id": row["id"], "audio": row["output"]}) + "\n" for row in rows)
    )
    batchjobs("run", heard, "--engine", "tone", "-q", "-o", room / "heard", cwd=room)
    for row in rows:
        text = (room / "heard" / "transcripts" / f"{row['id']}.txt").read_text("utf-8")
        is_equal = text.split() == row["text"].split()
        yield row["id"], "" if is_equal else f"{len(text.split())} words"


def measure_abbreviations(folder: Path, room: Path) -> Lines:
    """An abbreviation makes no pause."""
    for text, count in (
        ("قالت د. سلمى: نعم. ثم مضت. راجع ص. ١٢ من ج. ٢.", 3),
        (
            (
                "أكّدت تقارير أ.م. الصادرة اليوم في تمام الساعة 08.45 أن ق.م. وافقت. "
                "صرّح د. خالد: «نعم». ولكن، هل ستنجح م.ت.ف. في ذلك؟ نعم."
            ),
            4,
        ),
    ):
        found = split_sentences(text)
        yield f"{count} sentences", "" if len(found) == count else f"{found}"
    batchjobs("run", folder / "abbr.jsonl", "-q", "-o", room / "out", cwd=room)
    seconds = {path.stem: soundfile.info(path).duration for path in (room / "out/audio").iterdir()}
    for one, other in (
        ("a-dr", "a-nodr"),
        ("a-s", "a-nos"),
        ("e-vol", "e-novol"),
        ("am3", "noam3"),
    ):
        apart = abs(seconds[one] - seconds[other])
        yield f"{one} as long as {other}", "" if apart < 0.2 else f"{apart:.2f} s apart"


def count_chapters(folder: Path, room: Path) -> Lines:
    """No list of chapters has fewer than there are."""
    audiobook = run_and_bind(folder / "many.md", room)
    lesser = len(audiobook.chapters) if audiobook.chapters else 300
    yield "every list has 300", "" if lesser == 300 else f"one has {lesser}"


def read_long_title(folder: Path, room: Path) -> Lines:
    """A long Arabic title is cut between its letters."""
    title = run_and_bind(folder / "longtitle.md", room).chapters[0].title
    yield "title", "" if 100 < len(title.encode()) <= 255 else title


def bind_covers(folder: Path, room: Path) -> Lines:
    """A cover is found by path, by page and by the guide."""
    for book in sorted(folder.glob("*.epub")):
        tags = run_and_bind(book, room).tags
        yield book.name, "" if tags and tags.get("covr") else "it has no cover"


def bind_unspeakable(folder: Path, room: Path) -> Lines:
    """A chapter of asterisks neither stops the run nor goes unnamed."""
    book = folder / "33-unspeakable.epub"
    chapters, said = read(book, room)
    is_right = has_titles("One", "Two")(chapters, said) and says("* * *", "— …")(chapters, said)
    yield "chapters", "" if is_right else f"{chapters} {said}"
    run_and_bind(book, room)
    yield "run and bind", ""


_PRESENTED = "مرحبا بكم في هذا الكتاب الجديد وشكرا لكم جميعا"
_JUDGES: dict[str, dict[str, Judge]] = {
    "01-pagebreak-with-prose": {
        "70-pagebreak-block.epub": both(
            holds(
                "He went round by the river and found the boat.",
                "and said that nobody had seen it since noon.",
                "The River",
                "قال الشيخ نعم.",
                without=("15", "xvi"),
            ),
            ends("End."),
        ),
        "40-pagebreak-word.epub": holds("‘But of course!’", "and stayed.", without=(" 6 ",)),
    },
    "02-spine-page-by-another-name": {
        "02-nfd-name.epub": begins(("First", "Alpha"), ("Second", "Bravo")),
        "02e-missing.epub": both(has_titles("First", "Third"), says("OEBPS/b.xhtml")),
    },
    "03-utf16-declared-utf8-bytes": {
        "03-utf16-declared.epub": holds("First", "The lamp burned low in the hall.")
    },
    "05-chapter-openers-are-pictures": {
        name: begins(*zip(titles, starts, strict=True))
        for name, titles, starts in (
            ("01-image-openers.epub", _CHAPTERS, ("Alpha", "Bravo", "Charlie")),
            ("01b-image-openers-short.epub", _CHAPTERS, ("Alpha", "Bravo", "Charlie")),
            ("01c.epub", ("One", "Two", "Three"), ("Alpha", "Bravo", "Charlie")),
            ("15c-anchor-last.epub", ("One", "Two"), ("First text.", "Second text.")),
        )
    },
    "07-links-that-are-no-notes": {
        "08e-false-marks.epub": holds(
            "equation (4)", "§3", "(a)", "Figure 2-3", "John 3:16", "“a”", "Verse 2:2"
        ),
        "50-marks.epub": holds(
            "“Go.” He went, and came. Word last.", "قال ذلك ومضى ثم عاد.", without=("[]", "came.4")
        ),
    },
    "08-txt-single-newlines": {
        "04-single-newlines.txt": has_titles(*_CHAPTERS),
        "04b-chapter.001.txt": has_titles("chapter.001", "chapter.002", "chapter.003"),
        "04d-arabic-single.txt": has_titles("الفصل الأول", "الفصل الثاني"),
    },
    "13-notes-and-page-numbers-by-class": {
        "08-notes-indesign.epub": both(ends("Morning."), holds("", without=("ledger",))),
        "12-pagenum.epub": both(
            ends("Text here and there, and so."), holds("", without=("14", "15", "16", "17"))
        ),
    },
    "14-hidden-text": {"05-hidden.epub": holds("", without=("Stolen", "ZZZ", "QQQ"))},
    "15-mathml-alttext": {
        "06-math.epub": holds("The area is pi r squared for every circle.", "If x = 3 then stop.")
    },
    "18-soft-hyphens": {
        "09-shy.epub": holds(
            "An incomprehensible pronunciation.",
            "zerowidth and bom and joiner.",
            without=("\u00ad", "\u200b", "\ufeff", "\u2060"),
        )
    },
    "19-arabic-presentation-forms": {"text.txt": holds(_PRESENTED)},
    "21-empty-contents-labels": {
        "16-nav-img.epub": has_titles("The Storm", "The Calm"),
        "16b-ncx-blank.epub": has_titles("The Storm", "The Calm"),
    },
    "23-pages-dropped-for-what-they-are-called": {
        "17-linear.epub": has_titles("One", "Two", "Three"),
        "18-prologue.epub": has_titles("Prologue", "One"),
        "19-guide.epub": has_titles("One", "Two"),
    },
    "27-plain-text-of-scans-and-gutenberg": {
        "hard.txt": holds("beginning", "sitting"),
        "gut.txt": both(
            has_titles("CHAPTER I. Down", "CHAPTER II. Up"),
            holds("Alpha text here. It goes on for a good while."),
            ends("Bravo text here."),
        ),
    },
}
BOOKS: dict[str, Callable[[Path, Path], Lines]] = {
    **{f"books/{kind}": partial(judge_books, judges) for kind, judges in _JUDGES.items()},
    "books/04-tone-longer-than-90s": loop_long_texts,
    "books/10-arabic-abbreviations": measure_abbreviations,
    "books/11-m4b-more-than-255-chapters": count_chapters,
    "books/12-m4b-long-arabic-chapter-title": read_long_title,
    "books/17-chapter-of-asterisks": bind_unspeakable,
    "books/25-covers": bind_covers,
}
