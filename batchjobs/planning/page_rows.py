"""Makes the rows of a page of good ones at once: what `RowBuilder` makes of each, in a quarter of the time."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import mod
from typing import Final, NamedTuple

import msgspec
import orjson

from batchjobs import text
from batchjobs.checkpoint import NewRows, Portion, cut_speech
from batchjobs.files import run_folder
from batchjobs.jobs import Job, Kind
from batchjobs.manifest import PlainPage
from batchjobs.manifest.rules import Manner
from batchjobs.planning.keys import frame_of_keys
from batchjobs.planning.output_paths import fold
from batchjobs.providers import Provider

_LINE: Final = 9_876_543_210_123_456
"""Stands in for a line's number, and noncharacters for texts: what no row holds by chance."""
_FIRST_SIGN, _LAST_SIGN = "\ufdd0", "\ufdd1"
_encode: Final = msgspec.json.Encoder().encode


class _Place(NamedTuple):
    """What tells one mold from another."""

    manner: Manner
    columns: tuple[str, ...]
    has_own_ids: bool


class _Mold(NamedTuple):
    """What the rows of one manner and the same columns have in common.

    Attributes:
        before: What is hashed before a text.
        behind: What is hashed behind it.
        job: The job as it is encoded, with a ``%b`` for what each row has for itself.
        speech: What it says of how to speak.
        limit_characters: The longest text that one session speaks.
    """

    before: bytes
    behind: bytes
    job: bytes
    speech: bytes
    limit_characters: int


class PageRows:
    """Makes rows of pages.

    Args:
        providers: By name.
        audio_format: Of results whose rows name none.
    """

    def __init__(self, providers: Mapping[str, Provider], audio_format: str) -> None:
        self._providers = providers
        self._audio_format = audio_format
        self._molds: dict[_Place, _Mold | None] = {}

    def make(self, page: PlainPage, first_position: int) -> NewRows | None:
        """Make rows of good ones that are new.

        Args:
            page: The good ones.
            first_position: Of the first of them.

        Returns:
            None if one of them takes more than one session.
        """
        molds = self._find_molds(page)
        if molds is None:
            return None
        texts = list(map(orjson.dumps, page.texts))
        hashed = (
            mold.before + content + mold.behind for mold, content in zip(molds, texts, strict=True)
        )
        outputs = self._list_outputs(page)
        return NewRows(
            first_position=first_position,
            first_line=page.first_line,
            ids=page.ids,
            places=list(map(fold, outputs)),
            keys=[hashlib.sha256(content).hexdigest() for content in hashed],
            providers=[manner.provider for manner in page.manners],
            characters=list(map(len, page.texts)),
            outputs=outputs,
            jobs=list(map(mod, (mold.job for mold in molds), _list_contents(page, texts))),
            portions=_list_portions(page, molds),
        )

    def _list_outputs(self, page: PlainPage) -> Sequence[str]:
        if all(page.outputs):
            return page.outputs
        return [
            output or run_folder.usual_path(text.file_stem(job_id), self._audio_format)
            for output, job_id in zip(page.outputs, page.ids, strict=True)
        ]

    def _find_molds(self, page: PlainPage) -> list[_Mold] | None:
        columns = page.records.columns
        known = {}
        for manner in set(page.manners):
            place = _Place(manner, columns, page.has_own_ids)
            if place not in self._molds:
                self._molds[place] = self._make_mold(place)
            known[manner] = self._molds[place]
        found = []
        for manner, spoken in zip(page.manners, page.texts, strict=True):
            mold = known[manner]
            if mold is None or len(spoken) > mold.limit_characters:
                return None
            found.append(mold)
        return found

    def _make_mold(self, place: _Place) -> _Mold | None:
        """Encode a job with signs in the places of what is each row's own; None if they are not sure."""
        manner, columns, has_own_ids = place
        provider = self._providers[manner.provider]
        signs = [f"{_FIRST_SIGN}{number}{_LAST_SIGN}" for number in range(len(columns) + 3)]
        job = Job(
            id=signs[0],
            id_is_derived=not has_own_ids,
            line=_LINE,
            kind=Kind.TTS,
            provider=manner.provider,
            text=signs[1],
            speech=manner.speech,
            output=signs[2],
            take=manner.take,
            row=dict(zip(columns, signs[3:], strict=True)),
        )
        encoded = _encode(job)
        speech = cut_speech(encoded)
        encoded = encoded.replace(b"%", b"%%")
        sought = [_encode(sign) for sign in signs]
        sought.insert(1, b"%d" % _LINE)
        places = [encoded.find(sign) for sign in sought]
        if places != sorted(places) or any(encoded.count(sign) != 1 for sign in sought):
            return None
        for sign in sought:
            encoded = encoded.replace(sign, b"%b")
        before, behind = frame_of_keys(manner.speech, manner.take, provider)
        return _Mold(before, behind, encoded, speech, provider.text_limit_characters)


def _list_portions(page: PlainPage, molds: Sequence[_Mold]) -> list[Portion]:
    """Sum the rows up by how they are spoken."""
    rows, characters = Counter[tuple[str, bytes]](), Counter[tuple[str, bytes]]()
    for manner, mold, spoken in zip(page.manners, molds, page.texts, strict=True):
        rows[manner.provider, mold.speech] += 1
        characters[manner.provider, mold.speech] += len(spoken)
    return [Portion(*manner, count, characters[manner]) for manner, count in rows.items()]


def _list_contents(page: PlainPage, texts: Sequence[bytes]) -> Iterable[tuple[bytes, ...]]:
    """List what each row puts into its mold, as JSON: id, line, text, output, and its cells."""
    ids = list(map(orjson.dumps, page.ids))
    outputs = list(_write_all(page.outputs))
    lines = map(b"%d".__mod__, range(page.first_line, page.first_line + len(page)))
    written: dict[str, Iterable[bytes]] = {"text": texts, "output": outputs}
    if page.has_own_ids:
        written["id"] = ids
    cells = (
        written[column] if column in written else _write_all(column_cells)
        for column, column_cells in zip(*page.records, strict=True)
    )
    return zip(ids, lines, texts, outputs, *cells, strict=True)


def _write_all(cells: Sequence[str]) -> Iterable[bytes]:
    """Write cells as JSON, equal ones once."""
    written = {cell: orjson.dumps(cell) for cell in set(cells)}
    return map(written.__getitem__, cells)
