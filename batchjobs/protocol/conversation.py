"""Who may say what, and when, and what a client then waits for: every state and transition.

Client and server read the same table of a protocol. A client goes through phases besides, which
say what it waits for; both protocols' clients have the same table of them.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from batchjobs.errors import InternalError
from batchjobs.protocol import codec, listen_messages, messages, parsing
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.listen_messages import ListenMessage
from batchjobs.protocol.messages import InvalidMessageError, Message, Role

AnyMessage: TypeAlias = Message | ListenMessage


class State(enum.StrEnum):
    """Where a conversation stands; the same for both sides."""

    CONNECTED = "connected"
    INITIALISING = "initialising"
    OPEN = "open"
    CLOSING = "closing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A protocol: its first state, who may say what in which state, and how it is written and read.

    Attributes:
        start: The state after the handshake.
        transitions: State to (speaker, message) to the state after it.
        parse: For each speaker, how what it says is read.
        encode: How a message is written.
    """

    start: State
    transitions: Mapping[State, Mapping[tuple[Role, type], State]]
    parse: Mapping[Role, Callable[[str | bytes], AnyMessage]]
    encode: Callable[[AnyMessage, ChunkEncoding], str | bytes]


_CLIENT: Final = Role.CLIENT
_SERVER: Final = Role.SERVER


def _encode_document(message: AnyMessage, encoding: ChunkEncoding) -> str | bytes:
    if isinstance(message, messages.AudioChunk):  # long: it stays the bytes that it is made as
        return codec.encode_audio_chunk(message.data, encoding)
    return messages.encode(cast("Message", message), encoding)


TTS: Final = Wire(
    start=State.CONNECTED,
    transitions={
        State.CONNECTED: {
            (_CLIENT, messages.InitConnection): State.INITIALISING,
            (_SERVER, messages.Failure): State.ENDED,
        },
        State.INITIALISING: {
            (_CLIENT, messages.CloseConnection): State.CLOSING,
            (_SERVER, messages.Ready): State.OPEN,
            (_SERVER, messages.Failure): State.ENDED,
        },
        State.OPEN: {
            (_CLIENT, messages.Text): State.OPEN,
            (_CLIENT, messages.Clear): State.OPEN,
            (_CLIENT, messages.CloseConnection): State.CLOSING,
            (_SERVER, messages.Audio): State.OPEN,
            (_SERVER, messages.Failure): State.ENDED,
        },
        State.CLOSING: {
            # Both may have been on their way when the client asked to close.
            (_SERVER, messages.Ready): State.CLOSING,
            (_SERVER, messages.Audio): State.CLOSING,
            (_SERVER, messages.Failure): State.ENDED,
        },
        # The server has spoken its last; what the client said before it knew is no mistake.
        State.ENDED: {
            (_CLIENT, messages.InitConnection): State.ENDED,
            (_CLIENT, messages.Text): State.ENDED,
            (_CLIENT, messages.Clear): State.ENDED,
            (_CLIENT, messages.CloseConnection): State.ENDED,
        },
    },
    parse={_CLIENT: parsing.parse_tts_request, _SERVER: parsing.parse_tts_reply},
    encode=_encode_document,
)

STT: Final = Wire(
    start=State.OPEN,
    transitions={
        State.OPEN: {
            (_CLIENT, messages.AudioChunk): State.OPEN,
            (_SERVER, messages.Transcription): State.OPEN,
            (_SERVER, messages.TranscriptionError): State.ENDED,
            (_SERVER, messages.Failure): State.ENDED,
        },
        State.ENDED: {(_CLIENT, messages.AudioChunk): State.ENDED},
    },
    parse={_CLIENT: parsing.parse_stt_request, _SERVER: parsing.parse_stt_reply},
    encode=_encode_document,
)

_HEARING: Final = (
    listen_messages.SpeechStarted,
    listen_messages.Results,
    listen_messages.UtteranceEnd,
    listen_messages.Trait,
    listen_messages.ListenError,
)
"""What a server of `LISTEN` may say at any time between its first message and its receipt."""

LISTEN: Final = Wire(
    start=State.CONNECTED,
    transitions={
        # Audio need not wait for the server's first message.
        State.CONNECTED: {
            (_CLIENT, listen_messages.AudioFrame): State.CONNECTED,
            (_CLIENT, listen_messages.KeepAlive): State.CONNECTED,
            (_CLIENT, listen_messages.Configure): State.CONNECTED,
            (_CLIENT, listen_messages.CloseStream): State.CLOSING,
            (_SERVER, listen_messages.Opened): State.OPEN,
            (_SERVER, listen_messages.ListenError): State.CONNECTED,
        },
        State.OPEN: {
            (_CLIENT, listen_messages.AudioFrame): State.OPEN,
            (_CLIENT, listen_messages.KeepAlive): State.OPEN,
            (_CLIENT, listen_messages.Configure): State.OPEN,
            (_CLIENT, listen_messages.CloseStream): State.CLOSING,
            **{(_SERVER, kind): State.OPEN for kind in _HEARING},
            (_SERVER, listen_messages.Receipt): State.ENDED,
        },
        State.CLOSING: {
            # The first message may have been on its way when a short recording was at its end.
            (_SERVER, listen_messages.Opened): State.CLOSING,
            **{(_SERVER, kind): State.CLOSING for kind in _HEARING},
            (_SERVER, listen_messages.Receipt): State.ENDED,
        },
        State.ENDED: {
            (_CLIENT, listen_messages.AudioFrame): State.ENDED,
            (_CLIENT, listen_messages.KeepAlive): State.ENDED,
            (_CLIENT, listen_messages.Configure): State.ENDED,
            (_CLIENT, listen_messages.CloseStream): State.ENDED,
        },
    },
    parse={_CLIENT: listen_messages.parse_request, _SERVER: listen_messages.parse_reply},
    encode=lambda message, _: listen_messages.encode(cast("ListenMessage", message)),
)


class Phase(enum.StrEnum):
    """What a client is about, and whether the service has sent it a result: audio, a transcript."""

    INITIALISING = "initialising"
    """Waits for the answer to its first message."""
    SENDING = "sending"
    """Sends; no result has come yet."""
    STREAMING = "streaming"
    """Sends, while results come."""
    AWAITING = "awaiting"
    """Has sent all, and waits for the first result."""
    LISTENING = "listening"
    """Has sent all, and waits for more results, or for silence."""
    CLOSING = "closing"
    """Has asked the service to close, and waits for the first result."""
    DRAINING = "draining"
    """Has asked the service to close, and waits for what was pending."""
    ENDED = "ended"
    """Has its outcome."""


class Step(enum.StrEnum):
    """What takes a client from one phase to the next."""

    READY = "ready"
    """The service took the first message."""
    RESULT = "result"
    """The first result came."""
    ALL_SENT = "all_sent"
    """All that there is to send was sent."""
    CLOSE = "close"
    """We ask the service to close."""
    DECIDE = "decide"
    """The outcome stands, whatever it is."""


PHASES: Final[Mapping[Phase, Mapping[Step, Phase]]] = {
    Phase.INITIALISING: {Step.READY: Phase.SENDING, Step.DECIDE: Phase.ENDED},
    Phase.SENDING: {
        Step.RESULT: Phase.STREAMING,
        Step.ALL_SENT: Phase.AWAITING,
        Step.DECIDE: Phase.ENDED,
    },
    Phase.STREAMING: {Step.ALL_SENT: Phase.LISTENING, Step.DECIDE: Phase.ENDED},
    Phase.AWAITING: {
        Step.RESULT: Phase.LISTENING,
        Step.CLOSE: Phase.CLOSING,
        Step.DECIDE: Phase.ENDED,
    },
    Phase.LISTENING: {Step.CLOSE: Phase.DRAINING, Step.DECIDE: Phase.ENDED},
    Phase.CLOSING: {Step.RESULT: Phase.DRAINING, Step.DECIDE: Phase.ENDED},
    Phase.DRAINING: {Step.DECIDE: Phase.ENDED},
    Phase.ENDED: {},
}
"""A client's phase to what may happen in it, to the phase after that."""


class Conversation:
    """One side's view of one connection: writes its messages, reads the peer's, in turn.

    Args:
        wire: The protocol spoken.
        role: Our side.
        encoding: How we write chunks of audio.
    """

    __slots__ = ("_encoding", "_wire", "role", "state")

    def __init__(
        self, wire: Wire, role: Role, *, encoding: ChunkEncoding = ChunkEncoding.COMPACT
    ) -> None:
        self._wire = wire
        self._encoding = encoding
        self.role = role
        self.state = wire.start

    def send(self, message: AnyMessage) -> str | bytes:
        """Write one of our messages: a text, which is given as its bytes if it holds audio.

        The frames of the newer socket are bytes, and are sent as such.

        Raises:
            InternalError: It may not be said now: a mistake of ours.
        """
        state = self._wire.transitions[self.state].get((self.role, type(message)))
        if state is None:
            name = type(message).__name__
            raise InternalError(f"the {self.role} may not send {name} while {self.state}")
        self.state = state
        return self._wire.encode(message, self._encoding)

    def receive(self, payload: str | bytes) -> AnyMessage:
        """Read one of the peer's messages.

        Raises:
            InvalidMessageError: It cannot be read, or may not be said now.
        """
        message = self._wire.parse[self.role.peer](payload)
        if isinstance(message, messages.Unknown):
            return message
        state = self._wire.transitions[self.state].get((self.role.peer, type(message)))
        if state is None:
            name = type(message).__name__
            raise InvalidMessageError(f"the {self.role.peer} sent {name} while {self.state}")
        self.state = state
        return message
