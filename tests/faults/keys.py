"""A key of awkward characters, a service that wants it, and the search for it."""

import re
from pathlib import Path
from urllib.parse import quote

CANARY = "cnry/5f+1c7e=20%zz'q"
"""Has characters that travel percent-encoded in a query, and escaped in JSON."""


FORMS = re.compile(
    "|".join(re.escape(form) for form in (CANARY, quote(CANARY, safe=""), quote(CANARY), "cnry"))
)


WAYS = ("query", "init", "header", "bearer", "token")


def leaks(folder: Path, *texts: str) -> list[str]:
    """Everything below a folder, and every text, in which the canary or its beginning stands."""
    found = [
        f"printed: {text[max(0, m.start() - 80) :][:200]}"
        for text in texts
        for m in FORMS.finditer(text)
    ]
    found += [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and FORMS.search(path.read_bytes().decode("utf-8", "replace"))
    ]
    return found


def provider(way: str, base_url: str, folder: Path) -> None:
    """Write a configuration with a provider 'service' that takes its key this way."""
    stt = way if way != "init" else "header"
    (folder / "batchjobs.toml").write_text(
        f"""
        [providers.service]
        like = "munsit"
        base_url = "{base_url}"
        key_variable = "SERVICE_API_KEY"
        voice = "ar-najdi-male-2"
        tts_auth = ["{way}"]
        stt_auth = ["{stt}"]
        ready_seconds = 1.0
        first_audio_seconds = 1.0
        first_transcript_seconds = 1.0
        quiet_seconds = 0.3
        settle_seconds = 0.3
        """,
        encoding="utf-8",
    )
