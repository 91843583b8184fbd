"""Makes the rows of a page of good ones at once: what `RowBuilder` makes of each, in a fraction of the time."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import orjson

from batchjobs import text
from batchjobs.checkpoint import Mold, NewRows, cut_speech
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


class _Pattern(NamedTuple):
    """What the rows of one manner and the same columns have in common.

    Attributes:
        begun: The hash of what is hashed before a text.
        behind: What is hashed behind it.
        mold: What their jobs are made with.
        limit_characters: The longest text that one session speaks.
    """

    begun: "hashlib._Hash"
    behind: bytes
    mold: Mold
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
        self._patterns: dict[_Place, _Pattern | None] = {}

    def make(self, page: PlainPage, first_position: int) -> NewRows | None:
        """Make rows of good ones that are new.

        Args:
            page: The good ones.
            first_position: Of the first of them.

        Returns:
            None if one of them takes more than one session.
        """
        patterns = self._find_patterns(page)
        if patterns is None:
            return None
        outputs = self._list_outputs(page)
        known = {"id": page.ids, "text": page.texts, "output": page.outputs}
        return NewRows(
            first_position=first_position,
            first_line=page.first_line,
            ids=page.ids,
            places=list(map(fold, outputs)),
            digests=_hash_texts(page, patterns),
            outputs=outputs,
            folders={output.rpartition("/")[0]: output for output in outputs},
            texts=page.texts,
            own_outputs=page.outputs,
            columns=page.records.columns,
            cells=[
                None if known.get(column) is cells else cells
                for column, cells in zip(*page.records, strict=True)
            ],
            molds=[pattern.mold for pattern in patterns],
            mold_numbers=page.manner_numbers,
        )

    def _list_outputs(self, page: PlainPage) -> Sequence[str]:
        if all(page.outputs):
            return page.outputs
        return [
            output or run_folder.usual_path(text.file_stem(job_id), self._audio_format)
            for output, job_id in zip(page.outputs, page.ids, strict=True)
        ]

    def _find_patterns(self, page: PlainPage) -> list[_Pattern] | None:
        """Find the pattern of each of a page's manners; None if one is not sure, or a text too long."""
        patterns = []
        for manner in page.manners:
            place = _Place(manner, page.records.columns, page.has_own_ids)
            if place not in self._patterns:
                self._patterns[place] = self._make_pattern(place)
            pattern = self._patterns[place]
            if pattern is None:
                return None
            patterns.append(pattern)
        least = min(pattern.limit_characters for pattern in patterns)
        if max(map(len, page.texts)) > least and any(
            len(spoken) > patterns[number].limit_characters
            for number, spoken in zip(page.manner_numbers, page.texts, strict=True)
        ):
            return None
        return patterns

    def _make_pattern(self, place: _Place) -> _Pattern | None:
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
        return _Pattern(
            hashlib.sha256(before),
            behind,
            Mold(manner.provider, encoded, speech),
            provider.text_limit_characters,
        )


def _hash_texts(page: PlainPage, patterns: Sequence[_Pattern]) -> list[bytes]:
    """Hash what each row asks for; what is before its text was hashed once."""
    digests = []
    for number, content in zip(page.manner_numbers, map(orjson.dumps, page.texts), strict=True):
        pattern = patterns[number]
        hashed = pattern.begun.copy()
        hashed.update(content)
        hashed.update(pattern.behind)
        digests.append(hashed.digest())
    return digests
