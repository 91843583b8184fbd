"""A budget in money holds, in its one currency, or is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import batchjobs
from batchjobs.checkpoint import Checkpoint
from tests.builders import make_start


def _priced(folder: Path, *tables: tuple[str, str]) -> batchjobs.Options:
    """Set up hosted providers with these settings each, a key, and a budget; the first does rows."""
    config = folder / "prices.toml"
    config.write_text(
        "".join(
            f'[providers.{name}]\nbase_url = "ws://127.0.0.1:9/api/v1"\nvoice = "v"\n'
            f'key_variable = "BATCHJOBS_LOCAL_KEY"\n{settings}\n'
            for name, settings in tables
        )
    )
    key = folder / "key"
    key.write_text("k" * 20)
    key.chmod(0o600)
    return batchjobs.Options(
        provider=tables[0][0], engine="tone", config=config, budget=1.0, key_file=key
    )


_EUROS = 'tts_price_per_million_characters = 5.0\ncurrency = "EUR"'

_DOLLARS = "tts_price_per_million_characters = 5.0"


@pytest.mark.parametrize(
    ("dear", "why"), [("", "no price is set"), (_EUROS, "add up EUR and USD")], ids=["none", "two"]
)
def test_a_budget_that_would_not_hold_is_refused(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, dear: str, why: str
) -> None:
    """Where a price is unknown, or in two currencies, money bounds nothing: nor would a plan do."""
    monkeypatch.setenv("BATCHJOBS_LOCAL_KEY", "k" * 20)
    options = _priced(manifest.parent, ("dear", dear), ("other", _DOLLARS))
    manifest.write_text("id,text,provider\na,Hello to you,dear\nb,One more,other\n")
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.ConfigurationError, match=why):
            attempt(manifest, options)
    assert not Path("outputs/three").exists()


def test_a_budget_does_not_add_up_what_was_spent_in_another_currency(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is over all runs in a folder, whichever provider they used."""
    monkeypatch.setenv("BATCHJOBS_LOCAL_KEY", "k" * 20)
    options = _priced(manifest.parent, ("dear", _EUROS), ("other", _DOLLARS))
    manifest.write_text("id,text,provider\na,Hello to you,other\n")
    assert set(batchjobs.plan(manifest, options).cost_by_currency) == {"USD"}
    start = make_start(provider="dear", characters=1_000)
    with Checkpoint.open(Path("outputs/three")) as checkpoint:
        checkpoint.commit(starts=[start])
    for attempt in (batchjobs.plan, batchjobs.run):
        with pytest.raises(batchjobs.errors.ConfigurationError, match="add up EUR and USD"):
            attempt(manifest, options)


def test_a_budget_in_one_currency_holds_beside_what_is_free(manifest: Path) -> None:
    """The local server has a currency too, but nothing to count in it."""
    options = _priced(manifest.parent, ("dear", _EUROS))
    manifest.write_text("id,text,provider\na,Hello to you,dear\nb,One more,local\n")
    assert set(batchjobs.plan(manifest, options).cost_by_currency) == {"EUR"}
    options = replace(options, budget=0.0)
    report = batchjobs.run(manifest, options)
    assert isinstance(report.error, batchjobs.errors.BudgetReachedError)
    assert (report.summary.done, report.summary.not_run) == (1, 1)
