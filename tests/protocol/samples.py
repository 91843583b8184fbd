"""Samples of messages and of their parts."""

import base64

PCM = b"\x00\x01\xff\x7f"

BASE64 = base64.b64encode(PCM).decode()

ARABIC = "مَرْحَبًا بِكـم ١٢٣ في Faseeh \u200d\u200c😀 "
