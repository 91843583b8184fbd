"""Budgets hold over several runs, and what was wasted is told."""

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
