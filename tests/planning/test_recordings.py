"""Recordings are read once until they change, and bought once."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.audio.source import Heard
from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Job, Kind
from batchjobs.options import Options
from batchjobs.planning.keys import recording_key
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import BadRowsError
from tests.audio.test_containers import write_tracks
from tests.calls import write_channels
from tests.planning.desk import Desk, write_sound


def test_a_recording_is_read_once_until_it_changes(desk: Desk) -> None:
    """Same size and time: not read again. Another time: read, and bought only if it differs."""
    path = desk.home / "تسجيل.wav"
    write_sound(path)
    table = [{"id": "a", "audio": "تسجيل.wav"}]
    assert desk.run(table) == ["a"]
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert desk.plan(table) == {"a": "done"}
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert desk.plan(table) == {"a": "changed"}
    path.write_bytes(content)
    assert desk.plan(table) == {"a": "done"}
    write_sound(path, 2.0)
    assert desk.plan(table) == {"a": "changed"}


def test_equal_recordings_are_bought_once(desk: Desk) -> None:
    """Two files with the same bytes are one transcription."""
    write_sound(desk.home / "a.wav")
    write_sound(desk.home / "b.wav")
    table = [{"id": "a", "audio": "a.wav"}, {"id": "b", "audio": "b.wav"}]
    assert desk.plan(table) == {"a": "new", "b": "follow"}
    assert desk.run(table) == ["a"]
    assert desk.plan(table) == {"a": "done", "b": "done"}


def test_recordings_that_cannot_be_run_are_bad_rows(desk: Desk) -> None:
    """Damaged, empty or vanished: each is told before anything is spent."""
    (desk.home / "damaged.wav").write_bytes(b"RIFFxxxx")
    write_sound(desk.home / "empty.wav", 0.0)
    write_sound(desk.home / "gone.wav")
    table = [{"id": n, "audio": f"{n}.wav"} for n in ("damaged", "empty", "gone")]
    rows = list(desk.rows(table))
    (desk.home / "gone.wav").unlink()
    with Checkpoint.none(desk.folder) as checkpoint, pytest.raises(BadRowsError) as caught:
        make_plan(
            rows,
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
        )
    assert [row.column for row in caught.value.rows] == ["audio"] * 3
    assert "No such file" in str(caught.value)


# -- what of a recording is heard -----------------------------------------------------------------


def write_stereo(path: Path) -> None:
    """Write a recording of two channels."""
    dice = np.random.default_rng(1)
    write_channels(path, *(dice.integers(-99, 99, 32_000).astype("<i2") for _ in range(2)))


def keys_of(desk: Desk, *rows: Mapping[str, object]) -> list[str]:
    """Plan rows, and give the keys of what they ask."""
    table = [{"id": f"r{number}", **row} for number, row in enumerate(rows)]
    with Checkpoint.open(desk.folder) as checkpoint:
        desk.made(table, checkpoint)
        checkpoint.staging.adopt({})
        return [outcome.row.key for outcome in checkpoint.rows.stream_outcomes()]


def test_what_is_heard_is_in_the_key_and_nothing_else(desk: Desk) -> None:
    """Without a wish the key is that of before; names, numbers and what one channel cannot have are no wish."""
    write_stereo(desk.home / "two.wav")
    write_sound(desk.home / "one.wav")
    two = {"audio": "two.wav"}
    plain, number, mix, apart, named, left, right, track = keys_of(
        desk,
        two,
        two | {"channels": "2"},
        two | {"channels": "mix"},
        two | {"channels": "apart"},
        two | {"channels": "apart", "channel_names": "موظف,عميل"},
        two | {"channels": "left"},
        two | {"channels": "right"},
        two | {"track": "7"},
    )
    sha256 = decoding.sha256_of(desk.home / "two.wav")
    job = Job(id="a", line=1, kind=Kind.STT, provider="local")
    assert plain == recording_key(sha256, desk.providers["local"], job)
    assert plain == number == mix == track
    assert apart == named
    assert len({plain, apart, left, right}) == 4
    one = {"audio": "one.wav"}
    ways = ({"channels": each} for each in ("mix", "apart", "left", "right"))
    assert len(set(keys_of(desk, *(one | way for way in ways)))) == 1


def test_both_sides_are_priced(desk: Desk) -> None:
    """At the length of both, which is said to be the most; a session each at the least."""
    write_stereo(desk.home / "two.wav")
    with Checkpoint.none(desk.folder) as checkpoint:
        made = desk.made([{"id": "a", "audio": "two.wav", "channels": "apart"}], checkpoint)
    assert (made.to_buy.seconds, made.to_buy.sessions, made.heard_apart) == (4.0, 2, 1)


def test_names_are_as_many_as_channels(desk: Desk) -> None:
    """Or none; of one channel, and where all is heard as one, they make no difference."""
    write_stereo(desk.home / "two.wav")
    write_sound(desk.home / "one.wav")
    names = {"channel_names": "a,b,c"}
    good = [
        {"id": "a", "audio": "one.wav", "channels": "apart", **names},
        {"id": "b", "audio": "two.wav", "channels": "mix", **names},
    ]
    assert desk.plan(good) == {"a": "new", "b": "new"}
    with Checkpoint.none(desk.folder) as checkpoint, pytest.raises(BadRowsError) as caught:
        desk.made([{"id": "c", "audio": "two.wav", "channels": "apart", **names}], checkpoint)
    (bad,) = caught.value.rows
    assert bad.column == "channel_names"
    assert "3 names for 2 channels" in bad.message


def test_a_track_of_a_film_is_chosen(desk: Desk) -> None:
    """By its number; the default one by its number is the default one, and one that is not there is refused."""
    write_tracks(desk.home / "film.mkv", 1)
    film = {"audio": "film.mkv"}
    plain, first, second = keys_of(desk, film, film | {"track": 1}, film | {"track": "2"})
    assert plain == second != first
    with Checkpoint.open(desk.folder) as checkpoint:
        outcomes = list(checkpoint.rows.stream_outcomes())
    assert [round(outcome.row.seconds) for outcome in outcomes] == [2, 1, 2]
    with Checkpoint.none(desk.folder) as checkpoint, pytest.raises(BadRowsError) as caught:
        desk.made([{"id": "c", **film, "track": "3"}], checkpoint)
    (bad,) = caught.value.rows
    assert bad.column == "track"
    assert "has 2 audio tracks, and no number 3" in bad.message
    assert bad.hint


def test_a_chosen_track_is_what_is_decoded(tmp_path: Path) -> None:
    """And only that."""
    path = write_tracks(tmp_path / "film.mkv", 1)
    heard = [b"".join(decoding.pcm_chunks(path, heard=Heard(track=track))) for track in (0, 1, 2)]
    assert [round(len(pcm) / 32_000) for pcm in heard] == [2, 1, 2]
    assert decoding.probe(path, track=1).seconds == pytest.approx(1, abs=0.1)


def test_a_recording_that_changes_is_looked_at_again(desk: Desk) -> None:
    """Its channels, too, also where another row has read it just before."""
    write_stereo(desk.home / "two.wav")
    table = [{"id": "a", "audio": "two.wav"}, {"id": "b", "audio": "two.wav", "channels": "apart"}]
    for write, seconds in ((write_stereo, 4.0), (lambda path: write_sound(path, 3.0), 3.0)):
        write(desk.home / "two.wav")
        with Checkpoint.open(desk.folder) as checkpoint:
            desk.made(table, checkpoint)
            checkpoint.staging.adopt({})
            rows = [outcome.row for outcome in checkpoint.rows.stream_outcomes()]
        assert rows[1].seconds == pytest.approx(seconds)
        assert (rows[0].key == rows[1].key) == (seconds == 3.0)
