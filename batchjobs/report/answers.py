"""What the server of a page answers: pages, decisions, clips and parts of them; to whom it does."""

import hmac
import mimetypes
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec

from batchjobs.checkpoint import Decision
from batchjobs.errors import BatchjobsError
from batchjobs.files.paths import PathEscapeError, path_inside
from batchjobs.report.store import DecisionStore

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SOUNDS: Final = ("audio/", "video/")
_TYPES: Final = {
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, as far as it matters.

    Attributes:
        method: Of HTTP.
        target: Path, still encoded.
        headers: By name in small letters.
        body: What came with it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer.

    Attributes:
        status: Of HTTP.
        headers: Besides the length.
        body: What is sent, unless it is of a file.
        file: What is sent a part of, if any.
        first: Where in the file that begins.
        length: How long it is.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None
    first: int = 0
    length: int = 0


class _Asked(msgspec.Struct):
    id: str
    decision: str = ""
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Site:
    """All that is given out, and to whom.

    Attributes:
        folder: The folder below which the run's results are.
        page: The page.
        entrance: What is given to those who have shown no token yet.
        policies: What the page, and the entrance, may do.
        clips: The file of each address below the page's own.
        store: Keeps decisions.
        token: Opens the entrance.
        session: What a browser shows from then on.
        port: Where it is served.
    """

    folder: Path
    page: bytes
    entrance: bytes
    policies: tuple[str, str]
    clips: Mapping[str, Path]
    store: DecisionStore
    token: str
    session: str
    port: int = 0

    async def answer(self, request: Request) -> Answer:
        """Answer a request.

        Whoever comes by another name than this machine's own, from another site's page, or without
        the token, gets nothing: neither a page, nor a clip, nor whether there is one.
        """
        if problem := self._find_stranger(request):
            return problem
        path = request.target.partition("?")[0].removeprefix("/")
        if path == "enter":
            return self._enter(request)
        is_known = self._is_known(request)
        if path == "":
            return self._show(self.page if is_known else self.entrance, self.policies[not is_known])
        if not is_known:
            return _say(403)
        return await self._decide(request) if path == "decisions" else self._play(path, request)

    # -- who asks -------------------------------------------------------------------------------

    def _find_stranger(self, request: Request) -> Answer | None:
        """Refuse names that lead here by somebody else's will, and pages of other sites."""
        host = request.headers.get("host", "")
        if host not in {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}:
            return _say(421)
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _say(403)
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return _say(403)
        return None

    def _enter(self, request: Request) -> Answer:
        given = request.headers.get("authorization", "") if request.method == "POST" else ""
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return _say(403)
        cookie = f"{self._cookie}={self.session}; HttpOnly; SameSite=Strict; Path=/"
        return _say(204, {"Set-Cookie": cookie})

    @property
    def _cookie(self) -> str:
        return f"batchjobs-report-{self.port}"  # browsers tell ports apart by nothing else

    def _is_known(self, request: Request) -> bool:
        shown = dict(
            part.strip().partition("=")[::2]
            for part in request.headers.get("cookie", "").split(";")
        )
        return hmac.compare_digest(shown.get(self._cookie, "").encode(), self.session.encode())

    # -- what is given --------------------------------------------------------------------------

    def _show(self, content: bytes, policy: str) -> Answer:
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        }
        return Answer(status=200, headers=_SAFE_HEADERS | headers, body=content)

    async def _decide(self, request: Request) -> Answer:
        """Give out the decisions, or take one."""
        if request.method == "GET":
            return _say_json(200, self.store.list_all())
        if request.method != "POST" or "origin" not in request.headers:
            return _say(405)
        try:
            asked = msgspec.json.decode(request.body, type=_Asked)
            decision = Decision(asked.decision) if asked.decision else None
        except (msgspec.DecodeError, ValueError):
            return _say(400)
        try:
            is_taken = await self.store.put(asked.id, decision, asked.note)
        except BatchjobsError as error:
            return _say_json(507, {"error": error.message})
        return _say_json(200, {"saved": len(self.store)}) if is_taken else _say(404)

    def _play(self, path: str, request: Request) -> Answer:
        """Give out a clip, or the part of it that is asked for: a player seeks by that."""
        file = self.clips.get(path) or self.clips.get(unquote(path))
        if file is None:
            return _say(404)
        if request.method not in {"GET", "HEAD"}:
            return _say(405)
        try:
            if file.is_relative_to(self.folder):  # what has become a link leads nowhere
                file = path_inside(self.folder, str(file.relative_to(self.folder)))
            status = file.stat()
        except (OSError, PathEscapeError):
            return _say(404)
        if not stat.S_ISREG(status.st_mode):
            return _say(404)
        return _give_part(file, status.st_size, request.headers.get("range", ""))


def _give_part(file: Path, size: int, asked: str) -> Answer:
    headers = _SAFE_HEADERS | {"Accept-Ranges": "bytes", "Content-Type": _type_of(file)}
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found.groups() == ("", ""):  # several parts at once are given whole
        return Answer(status=200, headers=headers, file=file, length=size)
    begin, end = found.groups()
    first = int(begin) if begin else max(0, size - int(end))
    last = min(size - 1, int(end)) if begin and end else size - 1
    if first > last:
        return Answer(status=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers |= {"Content-Range": f"bytes {first}-{last}/{size}"}
    return Answer(status=206, headers=headers, file=file, first=first, length=last - first + 1)


def _type_of(file: Path) -> str:
    kind = _TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0] or ""
    return kind if kind.startswith(_SOUNDS) else "application/octet-stream"


def _say(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, headers={**_SAFE_HEADERS, **(headers or {})})


def _say_json(status: int, content: object) -> Answer:
    headers = _SAFE_HEADERS | {"Content-Type": "application/json"}
    return Answer(status=status, headers=headers, body=msgspec.json.encode(content))
