"""Samples of messages and of their parts."""

import base64

_PCM = b"\x00\x01\xff\x7f"

_B64 = base64.b64encode(_PCM).decode()

_ARABIC = "مَرْحَبًا بِكـم ١٢٣ في Faseeh \u200d\u200c😀 "
