"""Whatever is edited, nothing that is held is bought again."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.checkpoint import Checkpoint
from batchjobs.files.shelf import Shelf
from batchjobs.planning.intact import is_intact
from batchjobs.planning.plan import TO_BUY
from batchjobs.providers import BUILT_IN
from tests.planning.desk import Desk

_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["text", "move", "drop", "add", "twin", "format", "lose", "fail", "undo"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


def _edited(table: list[dict[str, str]], edit: str, place: int, choice: int) -> None:
    """Edit a manifest."""
    row = table[place % len(table)]
    match edit:
        case "text":
            row["text"] = f"t{choice}"
        case "move":
            table.append(table.pop(place % len(table)))
        case "drop" if len(table) > 1:
            table.remove(row)
        case "add":
            taken = {row["id"] for row in table}
            name = next(name for name in map("n{}".format, range(99)) if name not in taken)
            table.insert(place, {"id": name, "text": f"t{choice}", "output": ""})
        case "twin" if row["id"] and row["id"].swapcase() not in {r["id"] for r in table}:
            table.append({**row, "id": row["id"].swapcase(), "output": ""})
        case "format":
            taken = {row["output"] for row in table}
            name = f"o/{place}.{('wav', 'mp3', 'flac', 'ogg')[choice]}"
            row["output"] = "" if name in taken else name
        case _:
            pass


@pytest.mark.unmeasured
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=_EDITS, has_ids=st.booleans())
def test_whatever_is_edited_nothing_held_is_bought_again(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, int, int]], *, has_ids: bool
) -> None:
    """After any edits a run buys only what no file holds, and a second run has nothing to do."""
    desk = Desk(home=tmp_path_factory.mktemp("edits"), providers=BUILT_IN)
    table = [{"id": f"R{n}" if has_ids else "", "text": f"t{n}", "output": ""} for n in range(4)]
    earlier = [dict(row) for row in table]
    desk.run(table)
    for edit, place, choice in edits:
        if edit == "undo":
            table = [dict(row) for row in earlier]
        elif edit == "lose":
            for path in sorted(desk.folder.glob("audio/*"))[choice : choice + 1]:
                path.unlink()
        _edited(table, edit, place, choice)
        held = _held(desk)
        with Checkpoint.open(desk.folder) as checkpoint:
            desk.made(table, checkpoint, retry_failed=True)
            checkpoint.staging.adopt({})
            for row in checkpoint.rows.stream_to_do(TO_BUY):
                assert Path(row.output).suffix not in held.get(row.key, ())
        name = table[place % len(table)]["id"]
        failing = {name: bool(choice % 2)} if edit == "fail" else {}
        desk.run(table, failing=failing, retry_failed=True)
        desk.run(table, retry_failed=True)
        assert set(desk.plan(table).values()) == {"done"}


def _held(desk: Desk) -> dict[str, set[str]]:
    """Tell which formats could be made of what is on the disk, by key."""
    held: dict[str, set[str]] = {}
    with Checkpoint.read(desk.folder) as checkpoint:
        for record in checkpoint.lookups.stream_done():
            if is_intact(Shelf(desk.folder), record):
                endings = {".wav", ".flac", ".mp3", ".ogg"}
                can = {ending for ending in endings if record.can_become(f"x{ending}")}
                held.setdefault(record.key, set()).update(can)
    return held
