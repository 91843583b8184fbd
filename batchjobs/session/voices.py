"""Asks a service for its voices: one GET, which changes and costs nothing."""

from collections.abc import Mapping, Sequence
from typing import Final

import h11
import msgspec
import trio

from batchjobs.errors import PermanentError, TimedOutError, TransientError
from batchjobs.protocol import error_codes
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.error_map import CONNECTION_CODE, FOREIGN, translate
from batchjobs.speech import Voice

_ANSWER_SECONDS: Final = 30.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_RECEIVE_BYTES: Final = 65_536
_LISTS: Final = ("voices", "data")
"""Where the list stands if the answer is no list itself: the services' clients know these forms."""
_CHARACTERS: Final = 200


async def ask_voices(endpoint: Endpoint) -> tuple[Voice, ...]:
    """Ask a service for the list of its voices.

    The key goes into a header, to the endpoint's host and nowhere else: no redirect is followed.

    Raises:
        StopError: The key is refused.
        PermanentError: There is no such list, or the answer is none.
        TransientError: It does not answer, or not in time.
    """
    if not endpoint.provider.voices_path:
        raise PermanentError("the service has no list of its voices to ask for")
    with endpoint.redactor.redact_errors():
        with trio.move_on_after(_ANSWER_SECONDS):
            return _read_list(await _get(endpoint, endpoint.provider.voices_path))
        shown = f"{endpoint.host} did not answer in {_ANSWER_SECONDS:g} s"
        raise TimedOutError(shown, code=CONNECTION_CODE)


async def _get(endpoint: Endpoint, path: str) -> bytes:
    was_open = False
    try:
        stream = await endpoint.dial(endpoint.host, endpoint.port, endpoint.context)
        was_open = True
        try:
            return await _exchange(endpoint, path, stream)
        finally:
            # One exchange, and its answer's length was told: nobody waits for a polite end.
            await trio.aclose_forcefully(stream)
    except FOREIGN as error:
        raise translate(error, was_open=was_open) from error


async def _exchange(endpoint: Endpoint, path: str, stream: trio.abc.Stream) -> bytes:
    """Send the request, and read the whole answer.

    Raises:
        SessionError: It is no success, or longer than any list of voices.
    """
    connection = h11.Connection(h11.CLIENT)
    headers = [
        (b"Host", endpoint.host_header.encode("ascii")),
        (b"Accept", b"application/json"),
        (b"Connection", b"close"),
        *endpoint.headers(("header",)),
    ]
    request = h11.Request(method="GET", target=endpoint.target(path, ()), headers=headers)
    sent = [connection.send(request), connection.send(h11.EndOfMessage())]
    await stream.send_all(b"".join(part for part in sent if part))
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(event, h11.Response):
            _check_status(event.status_code)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BYTES:
                raise PermanentError("the service's answer is too long to be a list of voices")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise TransientError("the connection broke before the answer came")


def _check_status(status: int) -> None:
    if status in {404, 405, 501}:
        raise PermanentError("the service has no list of its voices to ask for", code=str(status))
    if status != 200:
        raise error_codes.from_status(status)


def _read_list(content: bytes) -> tuple[Voice, ...]:
    """Read the voices out of an answer, in any of the forms that are known.

    Raises:
        PermanentError: It is none of them.
    """
    try:
        found: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PermanentError("the service's list of voices is no JSON") from error
    while isinstance(found, Mapping):
        found = next((found[name] for name in _LISTS if name in found), None)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise PermanentError("the service's answer holds no list of voices")
    voices = [voice for item in found if (voice := _read_voice(item)) is not None]
    if found and not voices:
        raise PermanentError("the service's list of voices names none by its id")
    return tuple(voices)


def _read_voice(item: object) -> Voice | None:
    if isinstance(item, str):
        item = {"voice_id": item}
    if not isinstance(item, Mapping):
        return None

    def text_of(*names: str) -> str:
        given = (item[name] for name in names if isinstance(item.get(name), str))
        return error_codes.quote(next(given, ""))[:_CHARACTERS]

    voice = Voice(
        id=text_of("voice_id", "voiceId", "id"),
        name=text_of("name"),
        gender=text_of("gender"),
        language=text_of("dialect", "language"),
    )
    return voice if voice.id else None
