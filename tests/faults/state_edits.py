"""What a user does to a run folder between runs: rows that are edited, files that are damaged."""

import random

from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from tests.faults.state_checks import Checked
from tests.faults.state_model import trace
from tests.faults.state_world import (
    BLANK,
    FORMATS,
    TEXTS,
    VOICES,
)

__all__ = ["Edited"]


class Edited(Checked):
    """A run folder whose manifest and files are changed between runs."""

    @rule(words=st.sampled_from(TEXTS), where=st.integers(0, 9))
    @precondition(lambda self: self.rows)
    @trace
    def edit(self, words: str, where: int) -> None:
        """Change a row's text."""
        self.change(where, {"text": words})

    @rule(
        column=st.sampled_from(["voice_id", "take", "output"]),
        value=st.integers(0, 2),
        where=st.integers(0, 9),
    )
    @precondition(lambda self: self.rows)
    @trace
    def set_column(self, column: str, value: int, where: int) -> None:
        """Change another column of a row."""
        name = f"mine/{where % len(self.rows)}-{self.names}.{FORMATS[value]}"
        self.names += 1
        values = {"voice_id": VOICES[value], "take": value, "output": name if value < 2 else ""}
        self.change(where, {column: values[column]})

    def change(self, where: int, columns: dict[str, object]) -> None:
        """Change a row, unless that makes it another's double."""
        place = where % len(self.rows)
        row = self.rows[place] | columns
        others = self.rows[:place] + self.rows[place + 1 :]
        if all(self.id_of(row) != self.id_of(other) for other in others):
            self.rows[place] = row

    @rule(words=st.sampled_from((*TEXTS, BLANK)), first=st.booleans(), named=st.booleans())
    @precondition(lambda self: len(self.rows) < 9)
    @trace
    def add_row(self, words: str, first: bool, named: bool) -> None:
        """Add a row before all others or behind them, perhaps without an id, perhaps a bad one."""
        before = len(self.rows)
        self.add(words, **({} if named else {"id": ""}))
        if first and len(self.rows) > before:
            self.rows.insert(0, self.rows.pop())

    @rule(where=st.integers(0, 9))
    @precondition(lambda self: len(self.good_rows) > 1)
    @trace
    def remove_row(self, where: int) -> None:
        """Take a row out."""
        place = where % len(self.rows)
        if self.rows[place]["text"] == BLANK or len(self.good_rows) > 1:
            del self.rows[place]

    @rule(where=st.integers(0, 9))
    @precondition(lambda self: self.rows and len(self.rows) < 9)
    @trace
    def duplicate(self, where: int) -> None:
        """Ask the same once more under another id."""
        row = dict(self.rows[where % len(self.rows)])
        row.pop("id", None)
        row.pop("output", None)
        self.add(str(row.pop("text")), **row)

    @rule(order=st.randoms(use_true_random=False))
    @trace
    def reorder(self, order: random.Random) -> None:
        """Shuffle the rows."""
        order.shuffle(self.rows)

    @rule(name=st.sampled_from(FORMATS))
    @trace
    def change_format(self, name: str) -> None:
        """Ask for other files."""
        self.format = name

    @rule(voice=st.sampled_from(VOICES[1:]))
    @trace
    def change_voice(self, voice: str) -> None:
        """Ask for another voice."""
        self.voice = voice

    @rule(where=st.integers(0, 9), how=st.sampled_from(["delete", "cut", "grow", "flip", "empty"]))
    @trace
    def damage_output(self, where: int, how: str) -> None:
        """Delete or damage a finished job's file; a flipped byte is for `verify` to find."""
        outputs = sorted({held.output for held in self.held})
        if not outputs:  # not a precondition: what was committed before a kill is up to chance
            return
        path = self.folder / outputs[where % len(outputs)]
        if not path.is_file():
            return
        content = path.read_bytes()
        self.world.counts[f"outputs damaged: {how}"] += 1
        match how:
            case "delete":
                path.unlink()
            case "cut":
                path.write_bytes(content[: len(content) // 2])
            case "grow":
                path.write_bytes(content + b"\0\0")
            case "empty":
                path.write_bytes(b"")
            case _:
                middle = len(content) // 2
                changed = bytes([content[middle] ^ 0x5A]) if content else b""
                path.write_bytes(content[:middle] + changed + content[middle + 1 :])

    def add(self, words: str, **columns: object) -> None:
        """Add a row at the end."""
        row: dict[str, object] = {"id": f"r{self.names}"} | columns | {"text": words}
        self.names += 1
        if "id" in columns and not columns["id"]:
            del row["id"]
        if all(self.id_of(row) != self.id_of(other) for other in self.rows):
            self.rows.append(row)
