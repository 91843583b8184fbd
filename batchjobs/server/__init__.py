"""The local speech server: the server's side of the protocol, over any engine.

The face is empty: an engine's helper process lives below it and forks for every utterance, so it
must not load trio and numpy just because its module has this parent.
"""
