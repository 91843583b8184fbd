"""Several accounts in real runs that are killed: exact budgets, and keys that nobody sees."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from batchjobs.formatting import money
from tests.canary import KEY, key_with, leaks_below
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import (
    ARABIC,
    batchjobs,
    environment,
    ledger_of,
    run_server,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured

_ROWS = [{"id": f"k{number}", "text": f"{ARABIC[number % 7]} {number}"} for number in range(70)]
_CHARACTERS = sum(len(row["text"]) for row in _ROWS)
_BUDGET = _CHARACTERS // 4
"""Of two of the accounts; a character costs one."""


def _count_ended(ledger: Path) -> int:
    return ledger.read_bytes().count(b'"end"') if ledger.exists() else 0


def test_accounts_keep_their_budgets_over_kills(tmp_path: Path) -> None:
    """One key is refused, two have budgets, one does the rest: by the servers' ledgers, over kills."""
    dice = random.Random(15)
    manifest = write_manifest(tmp_path / "talks.csv", _ROWS)
    keys = {"KEY_GOOD": KEY, "KEY_LITTLE": KEY, "KEY_REFUSED": key_with("-none-"), "KEY_REST": KEY}
    with ExitStack() as stack:
        lines = [
            "[providers.many]",
            'like = "local"',
            'engine = "tone"',
            "tts_price_per_million_characters = 1_000_000",
        ]
        ledgers = {}
        for name in keys:
            ledgers[name] = tmp_path / f"{name}.jsonl"
            server = ("--engine", "tone", "--pace", 12, "--ledger", ledgers[name])
            url = stack.enter_context(run_server(tmp_path, *server))
            lines += ["[[providers.many.accounts]]", f'key_variable = "{name}"']
            lines += [
                f'base_url = "{url}"',
                f"budget = {_BUDGET}" * (name in keys and name[4] in "GL"),
            ]
        (tmp_path / "batchjobs.toml").write_text("\n".join(lines))
        command = ("run", manifest, "-p", "many", "-c", 6, "--attempts", 20)
        for kills in range(1, 5):
            process = subprocess.Popen(
                [sys.executable, "-m", "batchjobs", *map(str, command), "-q"],
                cwd=tmp_path,
                env=environment(**keys),
            )
            until(lambda: sum(map(_count_ended, ledgers.values())) >= 10 * kills)  # noqa: B023
            time.sleep(dice.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)
        ended = batchjobs(*command, cwd=tmp_path, expect=0, **keys)
    folder = tmp_path / "outputs" / "talks"
    assert summary(folder)["done"] == len(_ROWS)
    assert "KEY_REFUSED" in ended.stderr
    whole: Counter[str] = Counter()
    for name, path in ledgers.items():
        said = ledger_of(path) if path.exists() else []
        sent = sum(line["characters"] for line in said if line["event"] == "end")
        whole.update(line["text_sha256"] for line in said if line.get("complete"))
        if name in {"KEY_GOOD", "KEY_LITTLE"}:
            assert 0 < sent <= _BUDGET
    assert len(whole) == len(_ROWS)
    with closing(sqlite3.connect(folder / "checkpoint.sqlite3")) as database:
        query = "SELECT account, sum(characters) FROM attempts GROUP BY 1"
        counted = dict(database.execute(query))
    assert counted["KEY_GOOD"] <= _BUDGET
    assert counted["KEY_LITTLE"] <= _BUDGET
    assert counted["KEY_GOOD"] > _BUDGET - max(len(row["text"]) for row in _ROWS)
    assert counted["KEY_REFUSED"] == 0
    priced = {name: {"USD": float(sent)} for name, sent in counted.items()}
    assert summary(folder)["account_spent"] == {"many": priced}
    shown = batchjobs("status", folder, cwd=tmp_path).stdout
    assert f"many: KEY_GOOD {money(counted['KEY_GOOD'], 'USD')}, KEY_LITTLE" in shown
    assert not list(leaks_below(tmp_path / "outputs"))


def test_a_variable_that_is_not_set_is_gone_without(tmp_path: Path) -> None:
    """It is said by its name; with none set nothing begins, and all are named."""
    manifest = write_manifest(tmp_path / "talks.csv", _ROWS[:3])
    with run_server(tmp_path, "--engine", "tone") as url:
        (tmp_path / "batchjobs.toml").write_text(
            f'[providers.uae]\nlike = "munsit"\nbase_url = "{url}"\n'
            'keys = ["KEY_ONE", "KEY_TWO", "KEY_COPY"]\nclose_drains = true\n'
        )
        command = ("run", manifest, "-p", "uae", "--voice", "v")
        none = batchjobs(*command, cwd=tmp_path, expect=78)
        assert "set KEY_ONE or KEY_TWO or KEY_COPY" in none.stderr
        ran = batchjobs(*command, cwd=tmp_path, KEY_TWO=KEY, KEY_COPY=KEY)
    assert "KEY_ONE is not set" in ran.stderr
    assert "KEY_COPY holds the key of KEY_TWO" in ran.stderr
    told = summary(tmp_path / "outputs" / "talks")
    assert (told["done"], told["account_spent"]) == (3, {})
    shown = batchjobs("providers", cwd=tmp_path, KEY_TWO=KEY)
    assert "uae  (keys: KEY_ONE, not set; KEY_TWO, set; KEY_COPY, not set)" in shown.stdout
