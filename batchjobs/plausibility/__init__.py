"""Whether a result can be what was asked: judged by pace, length and the end of the sound."""
