"""The voices and ears of the local server."""
