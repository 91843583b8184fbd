"""Budgets hold over several runs, and what was wasted is told."""

import json
import re
from pathlib import Path

import pytest

from tests.whole_runs import batchjobs, summary, write_manifest

pytestmark = pytest.mark.unmeasured


def test_a_budget_ends_the_run_and_counts_over_resumes(tmp_path: Path) -> None:
    """A run stops at its budget with 80, says what is left and its price; a larger one goes on."""
    (tmp_path / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10000.0\n", encoding="utf-8"
    )
    rows = [{"id": f"b{n:02}", "text": f"صباح الخير يا {n:02}"} for n in range(20)]
    each = len(str(rows[0]["text"]))
    manifest = write_manifest(tmp_path / "budget.csv", rows)
    command = ("run", manifest, "--engine", "tone", "-c", 8)
    folder = tmp_path / "outputs" / "budget"
    money = 5.5 * each / 100
    ended = batchjobs(*command, "--budget", money, cwd=tmp_path, expect=80)
    counted = summary(folder)
    assert (counted["done"], counted["failed"], counted["not_run"]) == (5, 0, 15)
    assert counted["spent"] == {"USD": pytest.approx(5 * each / 100)}
    assert "15 jobs are left" in ended.stderr
    assert f"{15 * each / 100:.2f} USD" in ended.stderr
    batchjobs(*command, "--budget", money, cwd=tmp_path, expect=80)
    assert summary(folder)["done"] == 5
    ended = batchjobs(*command, "--max-characters", 12 * each, cwd=tmp_path, expect=80)
    raised = re.search(r"raise --max-characters to (\d+): enough for all of them", ended.stderr)
    assert raised is not None
    assert int(raised[1]) >= 20 * each
    assert summary(folder)["characters_sent"] == 12 * each
    batchjobs(*command, cwd=tmp_path)
    assert summary(folder)["done"] == 20


def test_a_row_that_costs_too_much_fails_until_the_limit_is_higher(tmp_path: Path) -> None:
    """It is told by `plan` and `run`, costs nothing, and a run with a higher limit buys it by itself."""
    (tmp_path / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10000.0\n", encoding="utf-8"
    )
    short = "صَباحُ الخَيْر ١"
    long = " ".join(f"السَّلامُ عَلَيْكُمْ {n}." for n in range(150))  # it takes several sessions
    rows = [
        {"id": "short", "text": short},
        {"id": "long", "text": long},
        {"id": "twin", "text": long},
    ]
    manifest = write_manifest(tmp_path / "dear.csv", rows)
    folder = tmp_path / "outputs" / "dear"
    limit = len(short) / 100
    command = ("run", manifest, "--engine", "tone", "--max-cost-per-row", limit)
    planned = batchjobs("plan", *command[1:], cwd=tmp_path).stdout
    assert "2  would cost more than --max-cost-per-row: not bought" in planned
    price = re.search(r"would cost ([0-9.]+) USD", planned)
    assert price is not None
    assert float(price[1]) == pytest.approx(len(long) / 100, rel=0.01)
    batchjobs(*command, cwd=tmp_path, expect=1)
    ended = batchjobs(*command, cwd=tmp_path, expect=1)
    counted = summary(folder)
    assert (counted["done"], counted["failed"], counted["errors"]) == (1, 2, {"too_costly": 2})
    assert counted["spent"] == {"USD": pytest.approx(limit)}
    assert "failed: 2 too_costly" in ended.stdout
    failed = [json.loads(line) for line in (folder / "failed.jsonl").read_bytes().splitlines()]
    assert [line["id"] for line in failed] == ["long", "twin"]
    assert f"would cost {price[1]} USD, more than" in failed[0]["error"]["message"]
    step = ended.stdout.splitlines()[-1]
    assert step == batchjobs("status", folder, cwd=tmp_path).stdout.splitlines()[-1]
    raised = re.search(r"--max-cost-per-row ([0-9.]+)$", step)
    assert raised is not None
    batchjobs(*command[:-1], raised[1], cwd=tmp_path)
    counted = summary(folder)
    assert (counted["done"], counted["failed"]) == (3, 0)
    assert counted["spent"] == {"USD": pytest.approx((len(short) + len(long)) / 100, rel=0.01)}


def test_a_limit_for_a_row_needs_a_price(tmp_path: Path) -> None:
    """Where a price is not set, the limit is refused with 78; where nothing costs, it is told."""
    (tmp_path / "batchjobs.toml").write_text(
        '[providers.elsewhere]\nbase_url = "wss://example.org/v1"\nkey_variable = "KEY"\n',
        encoding="utf-8",
    )
    manifest = write_manifest(tmp_path / "free.csv", [{"id": "a", "text": "Hello"}])
    command = ("run", manifest, "--engine", "tone", "--max-cost-per-row", 0)
    assert "costs nothing" in batchjobs(*command, cwd=tmp_path).stderr
    other = ("plan", manifest, "-p", "elsewhere", "--voice", "v", "--max-cost-per-row", 1)
    ended = batchjobs(*other, cwd=tmp_path, expect=78)
    assert "--max-cost-per-row cannot count what elsewhere costs" in ended.stderr


def test_what_was_wasted_is_told(tmp_path: Path) -> None:
    """Sessions that led to nothing are counted apart in the summary."""
    (tmp_path / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10000.0\n", encoding="utf-8"
    )
    rows = [{"id": f"w{n}", "text": f"Hello to everybody {n}"} for n in range(4)]
    manifest = write_manifest(tmp_path / "waste.csv", rows)
    batchjobs(
        *("run", manifest, "--engine", "tone", "--fault", "error:50001#2", "-c", 1), cwd=tmp_path
    )
    counted = summary(tmp_path / "outputs" / "waste")
    each = len(str(rows[0]["text"])) / 100
    assert counted["spent"] == {"USD": pytest.approx(6 * each)}
    assert counted["wasted"] == {"USD": pytest.approx(2 * each)}
