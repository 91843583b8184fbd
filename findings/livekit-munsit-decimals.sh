#!/usr/bin/env bash
# livekit-plugins-munsit and the full stop in a number.
#
# One would guess: a stream of speech that cuts long text at the ends of sentences leaves "2.5", "3.14" and
# "example.com" whole: their full stops are followed by a digit or a letter, not by a space. And a cut at
# the question mark is a cut at any question mark.
#
# It is so: with sixteen words waiting the text is cut behind the last full stop, whatever follows it.
# "… 2.5 …" goes to the service as two requests, which end in "2." and begin with "5": it speaks "two", a
# pause, "five". An Arabic decimal (U+066B) and ordinary sentences are safe; "?" is no end of a sentence
# (only "؟" is), and "2,500" is cut the same way from thirty-two words on. Nothing is raised or logged.
#
# Seen on 2026-11-28 with livekit-plugins-munsit 0.4.0 and livekit-agents 1.8.9, against a server of twenty
# lines that writes down what it is asked. Source: this output; tts.py of the plugin, _find_split_point.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet livekit-plugins-munsit==0.4.0 livekit-agents==1.8.9

cat > "$work/decimals.py" <<'PYTHON'
import asyncio
from importlib.metadata import version

import aiohttp
from aiohttp import web
from livekit.plugins import munsit

asked = []


async def speak(request):
    asked.append((await request.json())["text"])
    return web.Response(body=bytes(9_600), content_type="audio/pcm")


async def requests_of(session, url, text):
    """Say a text as a language model would, word by word; give the texts that were asked for."""
    asked.clear()
    client = munsit.TTS(api_key="none", base_url=url, http_session=session)
    stream = client.stream()
    for word in text.split():
        stream.push_text(word + " ")
    stream.end_input()
    async for _ in stream:
        pass
    await stream.aclose()
    return list(asked)


async def main():
    print("livekit-plugins-munsit", version("livekit-plugins-munsit"))
    application = web.Application()
    application.router.add_post("/text-to-speech/{model}", speak)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    few, many = " ".join(["كلمة"] * 14), " ".join(["كلمة"] * 31)
    found = {}
    async with aiohttp.ClientSession() as session:
        for name, text in (
            ("2.5", f"{few} السعر 2.5 دينار فقط"),
            ("example.com", f"{few} على example.com هنا"),
            ("a decimal in Arabic", f"{few} السعر ٢٫٥ دينار فقط"),
            ("a sentence", f"{few} السعر دينار. فقط"),
            ("2,500", f"{many} السعر 2,500 دينار فقط"),
            ("؟", f"{few} كيف الحال؟ نعم"),
            ("?", f"{few} how are you? yes"),
        ):
            found[name] = await requests_of(session, url, text)
            print(f"{name}:", " | ".join(f"…{part[-16:]}" for part in found[name]))
    await runner.cleanup()
    assert found["a sentence"][0].endswith("دينار."), "not cut at a sentence either"
    assert len(found["a decimal in Arabic"]) == 1
    assert len(found["؟"]) == 2
    expected = {
        "2.5 is cut in two": found["2.5"][0].endswith("2.") and found["2.5"][1].startswith("5 "),
        "example.com is cut in two": found["example.com"][0].endswith("example."),
        "2,500 is cut in two": found["2,500"][0].endswith("2,"),
        "? ends no sentence": len(found["?"]) == 1,
    }
    for what, holds in expected.items():
        print("as seen:" if holds else "CHANGED, not so:", what)
    raise SystemExit(not all(expected.values()))


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/decimals.py"
