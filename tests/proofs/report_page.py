"""The page of a run in a real Chromium: keys, sound, Arabic, 30,000 rows, and hostile texts.

    pip install 'batchjobs[browser]' && apt-get install chromium
    python -m tests.proofs.report_page [FOLDER]

Writes pictures into FOLDER, to be looked at, and ends with 1 if anything is not as it should be.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import batchjobs
from batchjobs.checkpoint import CheckRecord, CheckVerdict, ClipSigns, WordRun
from tests.builders import make_failed_record
from tests.commands import ROOT
from tests.report.listened import (
    ENDINGS,
    HOSTILE,
    make_clip_row,
    make_done,
    make_run,
    make_suspect,
    write_clip,
)
from tests.whole_runs import ARABIC, ENGLISH

CHROMIUM: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS: Final = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update"
    " --autoplay-policy=no-user-gesture-required"
).split()
MANY: Final = 30_000
MOST_BYTES: Final = 30_000_000
MOST_SECONDS_TO_OPEN: Final = 3.0
MOST_SECONDS_A_KEY: Final = 0.2
VOICES: Final = ("ar-najdi-male-2", "ar-hijazi-female-1", "ar-fusha-male-1", "en-female-1")


@dataclass
class Proof:
    """What was found to be so, or not.

    Attributes:
        pictures: Where pictures go.
        failures: What is not so.
    """

    pictures: Path
    failures: list[str] = field(default_factory=list)

    def check(self, what: str, *, is_so: object, seen: object = "") -> None:
        """Tell whether something is so."""
        print(f"{'ok  ' if is_so else 'NOT '} {what} {seen}".rstrip(), flush=True)
        if not is_so:
            self.failures.append(what)


# -- runs ------------------------------------------------------------------------------------------


def make_talk(folder: Path) -> Path:
    """Make a run to be looked at: clips of four formats, each verdict, doubts, failures."""
    texts = [*ARABIC, *ENGLISH, "المَكْتَبَةُ مَفْتُوحَةٌ مِنَ السَّاعَةِ ٩ صَباحًا إلى ٥ مَساءً، فَلا تَتَأَخَّرْ."]
    rows, records, checks = [], [], []
    for number in range(1, 41):
        text = texts[number % len(texts)]
        voice = VOICES[number % 3] if number % len(texts) < len(ARABIC) else VOICES[3]
        path = f"audio/r{number}.{ENDINGS[number % 4]}"
        row = make_clip_row(number, text, voice=voice, ending=ENDINGS[number % 4])
        rows.append(row._replace(id=f"talk-{number:03}"))
        file = write_clip(folder, path, 1.5 + number % 5)
        seconds = 1.5 + number % 5
        if number == 3:
            record = make_suspect(number, file, seconds)
        elif number == 7:
            record = make_failed_record(
                number, error_message="the service does not know this voice"
            )
        else:
            record = make_done(number, file, seconds)
        records.append(replace(record, id=f"talk-{number:03}"))
        if record.files and number % 4 != 2:
            checks.append(replace(make_check(number, text, file.sha256), id=f"talk-{number:03}"))
    return make_run(folder, rows, records, checks)


def make_check(number: int, text: str, sha256: str) -> CheckRecord:
    """Make what a check may have found: every fifth clip has lost words, every ninth is unclear."""
    words = text.split()
    heard, missing, verdict = text, None, CheckVerdict.GOOD
    if number % 5 == 0 and len(words) > 4:
        lost = words[1:4]
        heard = " ".join([words[0], "عشوائية", *words[4:]])
        missing = WordRun(words=" ".join(lost), count=3, first=1)
        verdict = CheckVerdict.BAD
    elif number % 9 == 0:
        verdict, heard = CheckVerdict.INCONCLUSIVE, ""
    rate = len(words) / max(len(heard.split()), 1)
    return CheckRecord(
        id=f"r{number}",
        sha256=sha256,
        verdict=verdict,
        reasons=("3 words are missing, from word 2 on",) if missing else (),
        badness=number / 7 if missing else number % 3 / 10,
        cer=0.31 if missing else number % 7 / 100,
        wer=0.42 if missing else number % 7 / 50,
        missing=missing,
        heard=heard,
        provider="munsit",
        signs=ClipSigns(
            seconds=2.0, level_dbfs=-20.0, peak_dbfs=-3.0, letters_per_second=10 + rate + number % 8
        ),
    )


def make_many(folder: Path, count: int) -> Path:
    """Make a run of so many rows with texts of a sentence or two, most of them checked."""
    dice = random.Random(7)
    texts = [*ARABIC, *ENGLISH]
    clips = [write_clip(folder, f"audio/clip-{n}.{ENDINGS[n % 4]}", 0.5) for n in range(40)]
    rows, records, checks = [], [], []
    for number in range(1, count + 1):
        text = f"{dice.choice(texts)} {dice.choice(texts)} {number}"
        clip = clips[number % len(clips)]
        place = f"audio/{number:06}{Path(clip.path).suffix}"
        os.link(folder / clip.path, folder / place)
        file = replace(clip, path=place)
        row = make_clip_row(number, text, voice=dice.choice(VOICES))
        rows.append(row._replace(output=place, place=place))
        record = make_done(number, file) if number % 50 else make_suspect(number, file)
        records.append(record)
        if number % 10:
            checks.append(make_check(number, text, file.sha256))
    return make_run(folder, rows, records, checks)


def make_hostile(folder: Path) -> Path:
    """Make a run whose texts, ids, names, notes and reasons would like to do something."""
    rows, records, checks = [], [], []
    for number, text in enumerate(HOSTILE, 1):
        path = f"audio/java'script:alert({number})#?%20\"<b>.wav"
        row = make_clip_row(number, text, voice=text)
        rows.append(row._replace(id=f"{text} {number}", output=path, place=path))
        file = write_clip(folder, path, 1.0)
        record = replace(make_suspect(number, file), id=f"{text} {number}", error_message=text)
        records.append(record)
        check = make_check(number, text, file.sha256)
        checks.append(replace(check, id=f"{text} {number}", heard=text[::-1], reasons=(text,)))
    return make_run(folder, rows, records, checks)


# -- the browser -----------------------------------------------------------------------------------


@contextmanager
def open_browser(scheme: str = "light", **settings: Any) -> Iterator[Any]:
    """Start a Chromium with a profile of its own; gives its page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            color_scheme=scheme,
            viewport={"width": 1440, "height": 900},
            accept_downloads=True,
            **settings,
        )
        page = context.pages[0]
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        try:
            yield page
        finally:
            context.close()


def open_page(page: Any, address: str) -> float:
    """Open a page; gives the seconds until its rows can be seen."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    wait_until(page, "document.querySelectorAll('.row .line').length > 5")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - began


def press(page: Any, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)


def title_of(page: Any) -> str:
    """Read which row is looked at."""
    return str(page.inner_text("#detail h2"))


def wait_until(page: Any, expression: str, seconds: float = 10.0) -> bool:
    """Wait until something is so; false if it never is.

    The driver's own way to wait runs a text as a script within the page, which its policy forbids.
    """
    from playwright.sync_api import Error

    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        with contextlib.suppress(Error):  # while the page is loaded anew
            if page.evaluate(expression):
                return True
        time.sleep(0.01)
    return False


def wait_for_sound(page: Any) -> bool:
    """Wait until the player moves; false if it does not."""
    return wait_until(page, "page.player.audio.currentTime > 0.15")


# -- what is proven --------------------------------------------------------------------------------


def prove_keys(proof: Proof, page: Any, address: str) -> list[str]:
    """Each key does what the line at the foot says; gives the lines that are saved."""
    open_page(page, address)
    first = title_of(page)
    proof.check("the worst row stands first", is_so=first == "talk-003", seen=first)
    press(page, "j")
    second = title_of(page)
    press(page, "j", "k")
    proof.check("j and k go down and up", is_so=title_of(page) == second != first, seen=second)
    press(page, "k", "a")
    proof.check("a accepts, and goes on", is_so=title_of(page) == second)
    press(page, "r")
    press(page, "n")
    page.keyboard.type("jarjar ملاحظة")
    press(page, "Escape")
    third = title_of(page)
    press(page, "d")
    page.evaluate(
        """document.querySelector("#list").dispatchEvent(
            new KeyboardEvent("keydown", { key: "ش", code: "KeyA", bubbles: true }))"""
    )
    shown = page.inner_text("#reviewed")
    is_so = shown.startswith("4 of 40")
    proof.check("decisions are counted, also by an Arabic keyboard's a", is_so=is_so, seen=shown)
    press(page, "u", "u")
    proof.check("u takes back", is_so=title_of(page) == third, seen=title_of(page))
    press(page, "d")
    press(page, "/")
    page.keyboard.type("السلام عليكم")
    page.wait_for_timeout(100)
    found = page.inner_text("#shown")
    text = page.inner_text(".row[aria-selected=true] .line")
    proof.check("a search finds Arabic without its marks", is_so="السَّلامُ" in text, seen=found)
    page.fill("#search", "DR. SMITH 1998")
    page.wait_for_timeout(100)
    proof.check("and Latin", is_so="1998" in page.inner_text(".row[aria-selected=true] .line"))
    page.fill("#search", "عام 1948")
    page.wait_for_timeout(100)
    proof.check("and digits", is_so="١٩٤٨" in page.inner_text(".row[aria-selected=true] .line"))
    page.click("#clear")
    page.select_option("#verdict", "=bad")
    bad = page.inner_text("#shown")
    proof.check("a filter chooses by verdict", is_so=bad != "40 rows", seen=bad)
    page.click("#clear")
    with page.expect_download() as downloaded:
        page.click("#save")
    lines = Path(downloaded.value.path()).read_text(encoding="utf-8").splitlines()
    decided = {json.loads(line)["id"]: json.loads(line)["decision"] for line in lines}
    asked = {first: "accept", second: "reject", third: "drop"}
    proof.check("save gives review.jsonl", is_so=decided == asked, seen=decided)
    page.reload()
    page.wait_for_selector(".row")
    kept = page.inner_text("#reviewed")
    proof.check("the browser keeps them over a reload", is_so=kept.startswith("3 of 40"), seen=kept)
    return lines


def prove_sound(proof: Proof, page: Any, address: str, where: str) -> None:
    """Every format plays, by the key and from the middle."""
    open_page(page, address)
    for ending in ENDINGS:
        place = page.evaluate(
            "(ending) => page.shown.findIndex((row) => row.clip.endsWith(ending))", ending
        )
        page.evaluate("(place) => page.select(place)", place)
        press(page, " ")
        proof.check(f"{ending} plays {where}", is_so=wait_for_sound(page))
        box = page.locator("#detail .wave").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
        page.wait_for_timeout(300)
        at = page.evaluate("page.player.audio.currentTime / page.player.audio.duration")
        proof.check(
            f"a click on its wave form seeks {where}", is_so=0.6 < at <= 1, seen=f"{at:.2f}"
        )
        press(page, " ")
        proof.check("space pauses", is_so=page.evaluate("page.player.audio.paused"))


def prove_server(proof: Proof, run: Path) -> None:
    """Served, the page plays and saves at once; without the token it is not there."""
    arguments = [sys.executable, "-m", "batchjobs", "report", str(run), "--serve"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    served = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert served.stdout is not None
        address = served.stdout.readline().split()[-1]
        with open_browser() as page:
            _prove_served(proof, run, page, address)
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=20)


def _prove_served(proof: Proof, run: Path, page: Any, address: str) -> None:
    front = address.partition("#")[0]
    page.goto(front)
    shown = page.inner_text("#message")
    proof.check("without the token there is no page", is_so="--serve" in shown)
    page.goto("about:blank")
    prove_sound(proof, page, address, "from the server")
    proof.check("no token stays in the address", is_so="#" not in page.url, seen=page.url)
    page.evaluate("page.select(0)")
    press(page, "r")
    wait_until(page, "page.reviews.isSaved")
    lines = (run / "review.jsonl").read_text(encoding="utf-8").splitlines()
    proof.check("a decision is saved at once", is_so='"reject"' in "".join(lines))
    page.reload()
    is_found = wait_until(page, "document.querySelector('#reviewed').textContent.startsWith('1 ')")
    proof.check("and found again", is_so=is_found)
    strangers = {url for url in page.asked if not url.startswith(front)} - {"about:blank"}
    proof.check("nothing else is asked for", is_so=not strangers, seen=strangers)
    proof.check("the browser has nothing to complain of", is_so=not page.said, seen=page.said)


def prove_hostile(proof: Proof, folder: Path) -> None:
    """No text does anything but to stand there."""
    address = batchjobs.write_report(make_hostile(folder)).path.as_uri()
    with open_browser() as page:
        open_page(page, address)
        for _ in HOSTILE:
            press(page, " ")
            proof.check("its clip plays", is_so=wait_for_sound(page))
            press(page, "n")
            page.keyboard.type(HOSTILE[1])
            press(page, "Escape", "r")
        page.fill("#search", "<script>")
        page.wait_for_timeout(100)
        page.click("#clear")
        page.click("#show-figures")
        page.screenshot(path=proof.pictures / "hostile-figures.png")
        page.click("#show-clips")
        press(page, "Home")
        page.screenshot(path=proof.pictures / "hostile.png")
        proof.check(
            "no hostile text does anything", is_so="owned" not in page.title(), seen=page.title()
        )
        others = page.evaluate("document.querySelectorAll('img, iframe, object, link, a').length")
        proof.check("nor makes an element", is_so=others == 0)
        outside = [url for url in page.asked if not url.startswith("file://")]
        proof.check("nor asks for anything", is_so=not outside, seen=outside)
        proof.check("nor offends the policy", is_so=not page.said, seen=page.said)
        page.evaluate(
            """() => { const script = document.createElement("script");
                       try { script.textContent = "document.title = 'owned'"; } catch {}
                       document.head.append(script); }"""
        )
        proof.check("a script of others is not run", is_so="owned" not in page.title())


def prove_many(proof: Proof, folder: Path) -> None:
    """30,000 rows: how large, how soon open, and how long a key takes."""
    run = make_many(folder, MANY)
    began = time.perf_counter()
    written = batchjobs.write_report(run)
    took = time.perf_counter() - began
    print(f"     {MANY:,} rows: written in {took:.1f} s, of them wave forms of 40 clips")
    began = time.perf_counter()
    written = batchjobs.write_report(run)
    print(f"     written once more in {time.perf_counter() - began:.1f} s")
    size = f"{written.bytes / 1e6:.1f} MB"
    proof.check("30,000 rows are under 30 MB", is_so=written.bytes < MOST_BYTES, seen=size)
    with open_browser() as page:
        opened = min(open_page(page, written.path.as_uri()) for _ in range(3))
        is_soon = opened < MOST_SECONDS_TO_OPEN
        proof.check("they open in under 3 s", is_so=is_soon, seen=f"{opened:.2f} s")
        page.wait_for_timeout(1_500)
        for name, keys in KEYS.items():
            slowest = max(measure_key(page, keys) for _ in range(5))
            is_quick = slowest < MOST_SECONDS_A_KEY
            proof.check(
                f"{name} takes under 200 ms", is_so=is_quick, seen=f"{slowest * 1e3:.0f} ms"
            )
        page.screenshot(path=proof.pictures / "many.png")


KEYS: Final = {
    "j": "j",
    "End": "End",
    "Home": "Home",
    "a": "a",
    "a letter of a search": "search",
    "a filter": "filter",
}


def measure_key(page: Any, key: str) -> float:
    """Press a key; gives the seconds until what follows is painted."""
    page.evaluate("document.querySelector('#list').focus()")
    act = "document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    if key == "search":
        act = """const search = document.querySelector("#search");
                 search.value = search.value === "ال" ? "ل" : "ال"; search.dispatchEvent(new Event("input", { bubbles: true }))"""
    elif key == "filter":
        act = """document.querySelector("#search").value = "";
                 const voice = document.querySelector("#voice"); voice.selectedIndex = 1 + voice.selectedIndex % 3;
                 voice.dispatchEvent(new Event("input", { bubbles: true }))"""
    else:
        act = act.replace("document.dispatch", "document.activeElement.dispatch")
    return float(
        page.evaluate(
            f"""(key) => new Promise((done) => {{
                const began = performance.now();
                {act};
                requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1e3)));
            }})""",
            key,
        )
    )


def take_pictures(proof: Proof, address: str) -> None:
    """Take pictures of what is to be looked at: Arabic, differences, figures, both schemes."""
    for scheme in ("light", "dark"):
        with open_browser(scheme) as page:
            open_page(page, address)
            page.screenshot(path=proof.pictures / f"clips-{scheme}.png")
            page.select_option("#verdict", "=bad")
            page.evaluate("page.select(page.shown.findIndex((row) => /[ء-ي]/u.test(row.text[0])))")
            press(page, " ")
            page.wait_for_timeout(900)
            page.screenshot(path=proof.pictures / f"differences-{scheme}.png")
            page.click("#show-figures")
            page.screenshot(path=proof.pictures / f"figures-{scheme}.png")
            page.click("#show-clips")
            page.set_viewport_size({"width": 820, "height": 1_000})
            page.wait_for_timeout(200)
            page.screenshot(path=proof.pictures / f"narrow-{scheme}.png")


def main() -> int:
    """Prove it all; gives the exit code."""
    pictures = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="report-page-"))
    pictures.mkdir(parents=True, exist_ok=True)
    proof = Proof(pictures)
    with tempfile.TemporaryDirectory() as place:
        run = make_talk(Path(place) / "outputs" / "تجربة #1?%20")
        address = batchjobs.write_report(run).path.as_uri()
        with open_browser() as page:
            lines = prove_keys(proof, page, address)
            prove_sound(proof, page, address, "from the disk")
            proof.check(
                "the browser has nothing to complain of", is_so=not page.said, seen=page.said
            )
        take_pictures(proof, address)
        prove_server(proof, run)
        (run / "review.jsonl").write_text("\n".join(lines), encoding="utf-8")
        report = batchjobs.review(run, run / "review.jsonl")
        proof.check(
            "`review` carries out what was saved", is_so=len(report.rejected) == 1, seen=report
        )
        prove_hostile(proof, Path(place) / "hostile")
        prove_many(proof, Path(place) / "many")
    print(f"pictures are in {pictures}")
    for failure in proof.failures:
        print(f"NOT SO: {failure}")
    return bool(proof.failures)


if __name__ == "__main__":
    sys.exit(main())
