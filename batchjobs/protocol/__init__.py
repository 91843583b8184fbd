"""The wire protocol without any I/O: messages, codec, and the state machines of both roles."""
