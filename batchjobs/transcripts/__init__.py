"""Transcripts: parts joined into one, words timed, cues written."""
