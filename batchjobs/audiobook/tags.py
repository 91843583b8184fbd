"""What a file says of its book: tags by FFmpeg's names, and the language of its sound."""

import re
from typing import Final

from batchjobs.audiobook.album import Album
from batchjobs.audiobook.kinds import M4B
from batchjobs.text import script_of

_AUDIOBOOK: Final = "2"
"""What the atom ``stik`` calls an audiobook: players then remember the place."""
_OF_OTHER_LANGUAGES: Final = re.compile(
    "[\u067e\u0679\u0686\u0688\u0691\u0698\u06a9\u06af\u06ba\u06be\u06cc\u06d2]"
)
"""Letters of Persian, Urdu and others that are written as Arabic is."""
_UNKNOWN: Final = "und"


def make_tags(album: Album, form: str) -> dict[str, str]:
    """Write what is known of a book as tags; each form has other places for it.

    An M4B has no atom for a narrator or a series that FFmpeg writes: by custom the composer's is the
    narrator's, and show and grouping are the series.
    """
    part = f"{album.series} #{album.series_index}" if album.series_index else album.series
    found = {
        "album": album.title,
        "artist": album.author,
        "album_artist": album.author,
        "composer": album.narrator,
        "date": album.date,
        "publisher": album.publisher,
        "description": album.description,
        "comment": album.description,
        "grouping": part,
        "genre": "Audiobook",
    }
    if form == M4B:
        found |= {"media_type": _AUDIOBOOK, "synopsis": album.description, "show": album.series}
    else:
        found |= {
            "narrator": album.narrator,
            "series": album.series,
            "series-part": album.series_index,
            "language": find_language(album),
        }
    return {name: value for name, value in found.items() if value}


def find_language(album: Album) -> str:
    """Write a book's language as files do, such as ``ara``, by ISO 639-2; ``und`` if it is not known.

    Where its rows do not say it, titles in Arabic do.
    """
    import langcodes

    try:
        return langcodes.Language.get(album.language.strip()).to_alpha3(variant="T")
    except (LookupError, ValueError):
        titles = " ".join([album.title, *(chapter.title for chapter in album.chapters)])
        is_arabic = script_of(titles) == "arabic" and not _OF_OTHER_LANGUAGES.search(titles)
        return "ara" if is_arabic else _UNKNOWN
