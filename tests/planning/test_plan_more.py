"""Rows that are added behind others: planned alone, as a plan of all of them would have it."""

from collections.abc import Mapping, Sequence

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.options import Options
from batchjobs.planning.make_plan import RowsMeetError, plan_more
from batchjobs.planning.plan import TO_DO, Action
from tests.planning.desk import Desk, text_rows

TABLE = text_rows("واحِد", "two", "ثَلَاثَة ٣")


def add(
    desk: Desk, table: Sequence[Mapping[str, object]], *, looks_back: bool = False
) -> dict[str, str]:
    """Plan more rows and adopt them; give each row's action by its id."""
    with Checkpoint.open(desk.folder) as checkpoint:
        made = plan_more(
            desk.rows(table),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
            looks_back=looks_back,
        )
        checkpoint.staging.adopt({})
        found = [row for row, _ in checkpoint.rows.stream_outcomes()]
        assert [row.position for row in found] == list(range(1, made.rows + 1))
        assert sum(work.rows for work in made.by_action.values()) == made.rows
        return {row.id: row.action for row in found}


def test_added_rows_are_new_and_the_others_stay(desk: Desk) -> None:
    """They count on from the last row; what they ask that is there is copied."""
    desk.run(TABLE)
    found = add(desk, [{"id": "x", "text": "more"}, {"id": "y", "text": "two"}])
    assert found == {"r1": "done", "r2": "done", "r3": "done", "x": "new", "y": "copy"}


def test_rows_that_are_not_done_wait_unless_one_looks_back(desk: Desk) -> None:
    """A service that is away is not asked again for each recording that arrives."""
    desk.run(TABLE, failing={"r1": True, "r2": False})
    added = [{"id": "x", "text": "more"}]
    with Checkpoint.open(desk.folder) as checkpoint:
        made = plan_more(
            desk.rows(added),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
            looks_back=False,
        )
        assert {action: work.rows for action, work in made.by_action.items() if work.rows} == {
            Action.NEW: 1,
            Action.DONE: 1,
            Action.KEPT: 2,
        }
        checkpoint.staging.adopt({})
        assert [row.id for row in checkpoint.rows.stream_to_do(TO_DO)] == ["x"]
    desk.plan(TABLE)
    assert add(desk, added, looks_back=True) == {
        "r1": "retry",
        "r2": "kept",
        "r3": "done",
        "x": "new",
    }


@pytest.mark.parametrize(
    "row", [{"id": "r2", "text": "x"}, {"id": "R2", "text": "x"}, {"id": "x", "text": "x"}]
)
def test_rows_that_meet_others_have_to_be_planned_with_them(
    desk: Desk, row: dict[str, object]
) -> None:
    """An id, or a file on systems that ignore case, or an output that another row has."""
    desk.run([*TABLE, {"id": "z", "text": "last", "output": "taken.wav"}])
    if row["id"] == "x":
        row = row | {"output": "taken.wav"}
    with Checkpoint.open(desk.folder) as checkpoint, pytest.raises(RowsMeetError):
        plan_more(
            desk.rows([row]),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(skip_bad_rows=True),
            name="m.csv",
            looks_back=False,
        )
