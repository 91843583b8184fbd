"""Whole runs whose sessions hosts have: what comes of them is what would have come of them here."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from msgspec import structs

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.cluster import host
from batchjobs.cluster.host import LEASE_SECONDS, PATIENCE_SECONDS, Host
from batchjobs.cluster.messages import Cut, Failed, Proven, Spoke, Start
from batchjobs.errors import ConfigurationError, ServiceUnavailableError
from batchjobs.files import run_folder
from batchjobs.jobs import Job, Status
from batchjobs.limits import Budget
from batchjobs.outputs.sweep import sweep
from batchjobs.progress import AccountLeft
from batchjobs.runner import Runner
from tests.builders import (
    audio_message,
    make_endpoint,
    make_recording_job,
    make_segment,
    transcript_message,
    write_recording,
)
from tests.cluster.loopback import Loopback, LoopbackHost, make_opening
from tests.runner.books import LONG, run_book
from tests.runner.runs import (
    QUICK,
    RATE,
    RETRIES,
    SPEECH,
    Keyed,
    job,
    jobs,
    obeys,
    run_rows,
    sometimes,
    speech_for,
)
from tests.runner.test_suspect_transcripts import words
from tests.streams import Peer, Service, Talk

pytestmark = pytest.mark.usefixtures("standing_clock")

TEXTS = (
    "مَرْحَبًا بِكُمْ فِي الْبَرْنَامَجِ",
    "مرحبـــا بكم ١٢٣ و٤٥٫٦",
    "می‌خواهم بروم الى \u200dهنا",
    "Hello مرحبا world ٢٠٢٦",
)


def rows() -> list[Job]:
    """Make rows of every kind of text, in every kind of file."""
    endings = ("wav", "flac", "mp3", "ogg")
    return [
        job(f"{ending}{number}", text, output=f"audio/{ending}{number}.{ending}")
        for number, text in enumerate(TEXTS)
        for ending in endings
    ]


def without_times(record: JobRecord) -> JobRecord:
    """Leave out of a record what no two runs have alike."""
    assert record.evidence is not None
    evidence = replace(record.evidence, session_seconds=0.0, first_result_seconds=0.0)
    return replace(record, started_at=0.0, finished_at=0.0, evidence=evidence)


async def test_speech_had_elsewhere_is_the_same(tmp_path: Path) -> None:
    """Records, files and samples are as if the sessions had been here, and nothing is left over."""
    here = await run_rows(tmp_path / "here", rows())
    there = await run_rows(tmp_path / "there", rows(), elsewhere=Loopback())
    assert there.statuses == {"done": 16}
    for name, record in here.records.items():
        found = there.records[name]
        if name.startswith("ogg"):  # a random number stands in each such file
            found = replace(found, files=record.files)
        assert without_times(found) == without_times(record)
    assert there.attempts == here.attempts
    assert not (tmp_path / "there" / run_folder.SEGMENTS).exists()


async def test_that_a_service_works_is_told_at_once_and_only_once(tmp_path: Path) -> None:
    """Its first session goes alone, and the others when its audio begins; of theirs nobody has to hear."""
    there = Loopback()
    run = await run_rows(tmp_path, rows(), elsewhere=there)
    assert run.statuses == {"done": 16}
    told = [report for each in there.hosts for report in each.reports]
    assert sum(isinstance(report, Proven) for report in told) == 1
    assert sum(isinstance(report, Spoke) for report in told) == len(TEXTS)


async def test_transcripts_had_elsewhere_are_the_same(tmp_path: Path) -> None:
    """All four files of a transcript are written there, and moved to their places here."""

    async def hears(peer: Peer) -> None:
        for number in range(2):
            await peer.get()
            await peer.send(transcript_message("السلام عليكم ورحمة الله"[: 12 * (number + 1)]))

    recording = write_recording(tmp_path / "a.wav", words(2.0))
    asked = [replace_provider(make_recording_job(recording))]
    here = await run_rows(tmp_path / "here", asked, hears)
    there = await run_rows(tmp_path / "there", asked, hears, elsewhere=Loopback())
    assert there.statuses == {"done": 1}
    assert len(there.records["t"].files) == 4
    assert there.records["t"].text == here.records["t"].text
    for file in here.records["t"].files:
        if not file.path.endswith(".json"):
            assert (tmp_path / "there" / file.path).read_bytes() == (
                tmp_path / "here" / file.path
            ).read_bytes()


def replace_provider(asked: Job) -> Job:
    """Have it done by the scripted service."""
    return structs.replace(asked, provider="quick")


async def test_long_jobs_are_cut_here_had_there_and_put_together_here(tmp_path: Path) -> None:
    """The parts of a book come from hosts, and stand in one file."""
    asked = [job("book", LONG)]
    here = await run_book(tmp_path / "here", asked, obeys)
    there = await run_book(tmp_path / "there", asked, obeys, elsewhere=Loopback())
    assert there.records["book"].pcm_sha256 == here.records["book"].pcm_sha256
    assert not (tmp_path / "there" / run_folder.SEGMENTS).exists()


async def test_what_is_doubted_here_goes_again_and_is_kept(tmp_path: Path) -> None:
    """The owner judges: silence is bought again, and what stays in doubt stands apart."""
    script = {"a": ["silence"], "b": ["silence"] * 9}
    found = await run_rows(tmp_path, [job("a"), job("b")], sometimes(script), elsewhere=Loopback())
    assert found.records["a"].status is Status.DONE
    assert found.records["b"].status is Status.SUSPECT
    assert found.records["b"].output.startswith("suspect/")
    assert (tmp_path / found.records["b"].output).is_file()


async def test_a_services_errors_mean_what_they_mean_here(tmp_path: Path) -> None:
    """Codes, throttling and refused keys travel as they are."""
    script = {"a": [429, 500], "b": [400]}
    found = await run_rows(
        tmp_path, [job("a"), job("b"), job("c")], sometimes(script), elsewhere=Loopback()
    )
    assert found.records["a"].status is Status.DONE
    assert found.records["b"].error_class == "permanent"
    here = await run_rows(
        tmp_path / "here", [job("a"), job("b"), job("c")], sometimes({"a": [429, 500], "b": [400]})
    )
    assert sorted(found.attempts) == sorted(here.attempts)


async def test_the_budget_is_exact_with_hosts(tmp_path: Path) -> None:
    """What is set aside here holds whoever has the sessions."""
    asked = jobs(20)
    most = 7 * max(len(each.text) for each in asked)
    found = await run_rows(tmp_path, asked, elsewhere=Loopback(), budget=Budget(characters=most))
    sent = sum(characters for *_, characters in found.attempts)
    assert sent <= most
    assert found.statuses["done"] == 7


async def test_sessions_of_a_lost_host_are_charged_whole_and_go_again(tmp_path: Path) -> None:
    """What it had open is in the ledger as lost, and the others do it; no fault of the service."""
    hosts = Loopback(hosts=2)
    stuck = trio.Event()

    async def talk(peer: Peer) -> None:
        if not stuck.is_set():
            await peer.begin()
            await peer.text()
            await stuck.wait()
        else:
            await obeys(peer)

    async def during(runner: Runner) -> None:
        # The first session goes alone; it is the one that is lost.
        await trio.sleep(0.5)
        stuck.set()
        next(each for each in hosts.hosts if each.orders).kill()

    found = await run_rows(tmp_path, jobs(6), talk, elsewhere=hosts, during=during)
    assert found.statuses == {"done": 6}
    lost = [each for each in found.attempts if each[1] == "lost"]
    assert [(name, characters) for name, _, _, characters in lost] == [
        ("000", len(job("000").text))
    ]


async def test_a_run_without_any_host_waits_and_then_ends(tmp_path: Path) -> None:
    """Nobody left: it waits for one as long as is documented, and says how to go on."""
    found = await run_rows(
        tmp_path, jobs(3), elsewhere=Loopback(hosts=0, wait_seconds=20.0), patience=1e5
    )
    assert isinstance(found.end.error, ServiceUnavailableError)
    assert "no worker was there for 20 s" in found.end.error.message
    assert not found.service.streams
    again = await run_rows(tmp_path, jobs(3), elsewhere=Loopback())
    assert again.statuses == {"done": 3}


async def test_a_host_that_comes_later_is_used(tmp_path: Path) -> None:
    """A worker that starts while the run waits does its work."""
    hosts = Loopback(hosts=0)

    async def during(runner: Runner) -> None:
        await trio.sleep(10)
        hosts.hire()

    found = await run_rows(tmp_path, jobs(3), elsewhere=hosts, during=during, patience=1e5)
    assert found.statuses == {"done": 3}


# -- one host by itself ----------------------------------------------------------------------------


class Lone:
    """A host whose owner is the test."""

    def __init__(
        self, folder: Path, nursery: trio.Nursery, talk: Talk, token: str = "here"
    ) -> None:
        self.service = Service(nursery, talk=talk)
        opening = make_opening(folder, {"quick": make_endpoint(self.service.dial, QUICK)}, token)
        self.line = LoopbackHost(opening, self.service.dial, None, "lone")
        nursery.start_soon(self.line.run)

    def start(self, number: int, text: str = "مرحبا بكم", ending: str = ".wav") -> None:
        """Order a session."""
        segment = make_segment(text, speech=SPEECH, key=f"{number:064}")
        self.line.post(
            Start(number=number, site="quick", segment=segment, wait_seconds=2.5, ending=ending)
        )

    async def wait_report(self) -> object:
        """Wait for what it tells next of an end."""
        while True:
            for report in self.line.reports:
                if isinstance(report, Failed | Spoke):
                    self.line.reports.clear()
                    return report
            await trio.sleep(0.01)


async def test_no_session_opens_after_the_owner_is_gone(tmp_path: Path) -> None:
    """Orders that came before are not carried out once the lease is over."""
    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, obeys)
        lone.start(1)
        assert isinstance(await lone.wait_report(), Spoke)
        lone.line.is_silent = True
        await trio.sleep(LEASE_SECONDS + 0.1 + 0.5)  # the last word may be half a second later
        opened = len(lone.service.streams)
        (order,) = lone.line.orders
        assert isinstance(order, Start)
        heard_at = lone.line.host._heard_at
        lone.line.host.take([order])
        lone.line.host._heard_at = heard_at  # it has waited since
        await trio.sleep(1.0)
        assert len(lone.service.streams) == opened
        nursery.cancel_scope.cancel()


async def test_sessions_that_no_host_begins_use_up_no_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has much to do leases end before sessions begin: that costs time, and no job."""
    check = Host._check_lease
    refused: list[None] = []

    def refuse_often(self: Host) -> None:
        if len(refused) < 2 * RETRIES.attempts:
            refused.append(None)
            self._heard_at -= 2 * LEASE_SECONDS
        check(self)

    monkeypatch.setattr(Host, "_check_lease", refuse_often)
    found = await run_rows(tmp_path, [job("a", TEXTS[0])], elsewhere=Loopback())
    assert found.records["a"].status is Status.DONE
    assert found.records["a"].attempts == 1
    ended = [(result, sent) for _, result, _, sent in found.attempts]
    assert ended == [*[("cancelled", 0)] * 2 * RETRIES.attempts, ("done", len(TEXTS[0]))]


async def test_a_host_that_stood_still_carries_out_nothing_of_what_came_meanwhile(
    tmp_path: Path,
) -> None:
    """Its owner has given that up, and others do it: two would be open where one is counted."""
    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, obeys)
        lone.start(1)
        assert isinstance(await lone.wait_report(), Spoke)
        opened = len(lone.service.streams)
        lone.line.host._heard_at = trio.current_time() - PATIENCE_SECONDS
        lone.line.host.renew()  # in line before the order
        lone.start(2)
        with trio.fail_after(PATIENCE_SECONDS):
            await lone.line.ended.wait()
        assert len(lone.service.streams) == opened
        nursery.cancel_scope.cancel()


async def test_what_a_host_cuts_by_itself_is_reported(tmp_path: Path) -> None:
    """An owner that comes back late knows what was sent, and pays for no more; nothing waits for ever."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        while True:
            await peer.send(audio_message(speech_for(text), RATE))
            await trio.sleep(1.0)

    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, talk)
        lone.start(1)
        await trio.sleep(0.2)
        lone.line.is_silent = True
        await lone.line.ended.wait()
        sent = len("مرحبا بكم")
        assert lone.line.reports[-1] == Failed(
            number=1, fault=None, was_connected=True, sent_characters=sent
        )
        nursery.cancel_scope.cancel()


async def test_what_is_open_outlives_a_pause_of_the_owner_and_not_its_end(tmp_path: Path) -> None:
    """A machine that slept finds its sessions; after the patience they are cut, and the host ends."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        await trio.sleep(4.0)
        await peer.send(audio_message(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, talk)
        lone.start(1)
        await trio.sleep(0.2)
        lone.line.is_silent = True
        assert isinstance(await lone.wait_report(), Spoke)
        with trio.fail_after(PATIENCE_SECONDS):
            await lone.line.ended.wait()
        nursery.cancel_scope.cancel()


async def test_a_cut_says_what_was_sent(tmp_path: Path) -> None:
    """What the service has of the text is known to the character, and no file is left."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, talk)
        lone.start(1, "مرحبا بكم")
        await trio.sleep(0.5)
        lone.line.post(Cut(number=1))
        report = await lone.wait_report()
        assert isinstance(report, Failed)
        assert (report.fault, report.sent_characters) == (None, len("مرحبا بكم"))
        nursery.cancel_scope.cancel()
    assert not list(tmp_path.rglob("*.part"))  # noqa: ASYNC240  # nothing else runs


async def test_what_is_cut_before_it_begins_never_begins(tmp_path: Path) -> None:
    """Both orders come at once: the service hears of nothing, and nothing was sent."""
    async with trio.open_nursery() as nursery:
        lone = Lone(tmp_path, nursery, obeys)
        segment = make_segment("مرحبا بكم", speech=SPEECH, key=f"{1:064}")
        begin = Start(number=1, site="quick", segment=segment, wait_seconds=2.5, ending=".wav")
        lone.line.host.take([begin, Cut(number=1)])
        report = await lone.wait_report()
        assert isinstance(report, Failed)
        assert (report.fault, report.sent_characters) == (None, 0)
        assert not lone.service.streams
        nursery.cancel_scope.cancel()


async def test_a_mistake_of_ours_is_charged_for_what_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget holds whatever goes wrong after the text was sent."""

    async def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Host, "_keep", fail)
    asked = [job("a", TEXTS[1])]
    found = await run_rows(tmp_path, asked, elsewhere=Loopback())
    assert found.records["a"].error_class == "internal"
    assert [(result, sent) for _, result, _, sent in found.attempts] == [
        ("internal", len(TEXTS[1]))
    ]


async def test_hosts_share_no_scratch_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What two hosts, of which one was killed, move out of memory of the same text is in two files."""
    monkeypatch.setattr(host, "AUDIO_MEMORY_BYTES", 1)
    moved: list[Path] = []

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        await peer.send(audio_message(speech_for(text), RATE))
        await trio.sleep(1.0)
        moved.extend(tmp_path.rglob("*.spool"))  # noqa: ASYNC240  # nothing else runs
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    async with trio.open_nursery() as nursery:
        for token in ("one", "other"):
            lone = Lone(tmp_path, nursery, talk, token)
            lone.start(1)
            await trio.sleep(2.0)
            for path in moved:  # as of one that was killed
                path.touch()
        nursery.cancel_scope.cancel()
    assert len(set(moved)) == 2
    assert not caplog.messages


def write_damaged(path: Path) -> None:
    """Write a recording that is cut after its first word."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF")


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_recording_that_a_worker_does_not_see_ends_the_run(
    tmp_path: Path, is_there: bool
) -> None:
    """It is no fault of the recording, as its owner sees it; one that is damaged is a job's failure."""
    recording = write_recording(tmp_path / "a.wav", words(2.0))
    if is_there:
        write_damaged(Path(f"{tmp_path}/mount{recording}"))
    asked = [replace_provider(make_recording_job(recording))]
    hosts = Loopback(hosts=1, mount=f"{tmp_path}/mount")
    found = await run_rows(tmp_path / "run", asked, elsewhere=hosts)
    if is_there:
        assert found.records["t"].error_class == "permanent"
        return
    assert isinstance(found.end.error, ConfigurationError)
    assert f"the worker host-0 does not see the recording {recording}" in found.end.error.message
    assert not found.records
    assert not found.service.streams


async def test_recordings_are_named_so_that_others_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that somebody started stands in another folder than who names them from here."""
    monkeypatch.chdir(tmp_path)
    recording = write_recording(tmp_path / "مقابلة.wav", words(2.0))
    asked = [replace_provider(make_recording_job(Path(recording.name)))]
    hosts = Loopback()

    async def hears(peer: Peer) -> None:
        await peer.get()
        await peer.send(transcript_message("السلام عليكم"))

    await run_rows(tmp_path / "run", asked, hears, elsewhere=hosts)
    orders = [order for each in hosts.hosts for order in each.orders if isinstance(order, Start)]
    assert {order.segment.audio for order in orders} == {str(recording)}


async def test_a_damaged_recording_is_called_as_its_row_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads what failed finds it, whichever process has met it."""
    monkeypatch.chdir(tmp_path)
    recording = write_recording(tmp_path / "مقابلة.wav", words(2.0))
    asked = [replace_provider(make_recording_job(Path(recording.name)))]
    whole = recording.read_bytes()

    def damage(_: Checkpoint) -> None:
        recording.write_bytes(whole[:20])

    here = await run_rows(tmp_path / "here", asked, prepare=damage)
    recording.write_bytes(whole)
    there = await run_rows(tmp_path / "there", asked, prepare=damage, elsewhere=Loopback())
    assert recording.name in here.records["t"].error_message
    assert there.records["t"].error_message == here.records["t"].error_message


async def test_attempts_that_are_not_kept_leave_no_file_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of days would fill the disk with what nobody wants: the sweep at its end finds nothing."""
    swept: list[str] = []

    def look(checkpoint: Checkpoint) -> None:
        swept.extend(checkpoint.shelf.list_below(run_folder.SEGMENTS))
        sweep(checkpoint)

    monkeypatch.setattr("batchjobs.runner.runner.sweep", look)
    script = {"a": ["silence"] * 9}
    found = await run_rows(tmp_path, [job("a")], sometimes(script), elsewhere=Loopback())
    assert [result for _, result, *_ in found.attempts] == ["kept", "suspect"]
    assert not swept


async def test_each_account_goes_by_its_own_key(tmp_path: Path) -> None:
    """Hosts are told whose each session is; one that is refused leaves, and its jobs go on."""

    async def by_key(peer: Peer) -> None:
        if "-A-" in peer.request.path:
            await peer.get()
            await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "bad key"})
            await peer.connection.aclose(1008)
            return
        await obeys(peer)

    accounts = {name: Keyed() for name in "ABC"}
    found = await run_rows(tmp_path, jobs(20), by_key, accounts=accounts, elsewhere=Loopback())
    assert found.end.error is None
    assert found.statuses == {"done": 20}
    assert [left.account for left in found.of(AccountLeft)] == ["A"]
