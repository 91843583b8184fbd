"""The accounts with a provider: what is read of them, what is refused, and what is never shown."""

from pathlib import Path

import pytest

from batchjobs.config import FILE_NAME, KEY_FILE, choose_account, find_access, load
from batchjobs.errors import ConfigurationError
from batchjobs.providers import Provider
from tests.canary import KEY


def read(folder: Path, text: str) -> Provider:
    """Read what a file says of munsit."""
    path = folder / FILE_NAME
    path.write_text(f"[providers.munsit]\n{text}", encoding="utf-8")
    return load(path).find_provider("munsit")


def test_keys_are_named_in_short_and_at_length(tmp_path: Path) -> None:
    """Each is an account; what a table leaves out is the provider's."""
    short = read(tmp_path, 'keys = ["MUNSIT_API_KEY", "MUNSIT_KEY_2"]')
    assert [account.shown for account in short.every_account] == ["MUNSIT_API_KEY", "MUNSIT_KEY_2"]
    assert short.key_variables == ("MUNSIT_API_KEY", "MUNSIT_KEY_2")
    long = read(
        tmp_path,
        """
        [[providers.munsit.accounts]]
        key_variable = "A"
        [[providers.munsit.accounts]]
        key_variable = "A"
        name = "الثاني"
        base_url = "wss://b/api/v1"
        concurrency = 8
        budget = 2.5
        """,
    )
    first, second = long.every_account
    assert (first.shown, first.budget, first.concurrency) == ("A", None, 0)
    assert (second.shown, second.budget, second.concurrency) == ("الثاني", 2.5, 8)
    assert long.with_account(first).base_url == long.base_url
    assert long.with_account(second).base_url == "wss://b/api/v1"
    assert long.with_account(second).every_account[0].key_variable == "A"


@pytest.mark.parametrize(
    "secret", ["mk-5f1c-7e20", "MK-5F1C7E20", "A7" * 12, "5f1c7e20B7c4d81eaaaa"]
)
@pytest.mark.parametrize(
    "text", ['keys = ["MUNSIT_API_KEY", "{}"]', 'accounts = [{{key_variable = "{}"}}]']
)
def test_a_key_in_a_name_s_place_is_refused_and_not_shown(
    text: str, secret: str, tmp_path: Path
) -> None:
    """It says which, and where a key belongs."""
    with pytest.raises(ConfigurationError, match="it may be a key") as found:
        read(tmp_path, text.format(secret))
    assert secret not in f"{found.value} {found.value!r} {found.value.hint}"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('keys = "MUNSIT_API_KEY"', "keys"),
        ("keys = [7]", "Expected `str`"),
        ('keys = ["A", "A"]', "two accounts 'A'"),
        ('keys = ["A"]\naccounts = [{key_variable = "B"}]', "say the same"),
        ('accounts = ["A"]', "no list of tables"),
        ('accounts = "A"', "no list of tables"),
        ('accounts = [{key = "A"}]', "unknown setting 'key'"),
        ('accounts = [{key_variable = "A", budgte = 1}]', "did you mean 'budget'"),
        ('accounts = [{key_variable = "A", budget = -1}]', "'budget' must be 0"),
        ('accounts = [{key_variable = "A", budget = nan}]', "'budget' must be 0"),
        ('accounts = [{key_variable = "A", concurrency = 10001}]', "'concurrency' is 0 to"),
        ('accounts = [{base_url = "wss://a/api/v1"}]', "number 1 is not the name"),
        ('base_url = ""\naccounts = [{key_variable = "A", base_url = "ws://a"}, {key_variable = "B"}]',
         "no 'base_url'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text: str, match: str, tmp_path: Path) -> None:
    """With its place in the file."""
    with pytest.raises(ConfigurationError, match=match) as found:
        read(tmp_path, text)
    assert "[providers.munsit]" in found.value.message


def test_keys_that_are_there_are_found(tmp_path: Path) -> None:
    """What is not there, and what is there twice, is told by name; with none, all names are told."""
    provider = read(tmp_path, 'keys = ["A", "B", "C", "D"]')
    found, absent = find_access(
        provider, key_file=None, environment={"B": "x", "C": " x ", "D": "y"}, is_needed=True
    )
    assert [(each.account.shown, each.key) for each in found] == [("B", "x"), ("D", "y")]
    assert absent == {"A": "A is not set", "C": "C holds the key of B"}
    assert "'x'" not in repr(found)
    own, key = choose_account(provider, key_file=None, environment={"D": "y"})
    assert (own.key_variable, key) == ("D", "y")
    with pytest.raises(ConfigurationError, match="set A or B or C or D"):
        find_access(provider, key_file=None, environment={}, is_needed=True)
    assert find_access(provider, key_file=None, environment={}) == ([], {})


def test_a_key_file_takes_the_place_of_all(tmp_path: Path) -> None:
    """It holds one key; several lines are none."""
    provider = read(tmp_path, 'keys = ["A", "B"]')
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    found, absent = find_access(provider, key_file=path, environment={"A": "x"})
    assert [(each.account.shown, each.key) for each in found] == [(KEY_FILE, KEY)]
    assert absent == {}
    path.write_text("one\ntwo\n")
    with pytest.raises(ConfigurationError, match="no key has"):
        find_access(provider, key_file=path, environment={})
