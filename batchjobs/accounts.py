"""The accounts that one has with a provider: which key goes where, and what each may do."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from batchjobs.errors import ConfigurationError

_LONGEST_NAME: Final = 64
_LONGEST_WORD: Final = 24
"""No word in a variable's name is so long; a key may be in one piece, and in capitals."""
_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A key with a provider, as data.

    Attributes:
        key_variable: Environment variable that holds the key.
        name: How it is called in what is told; empty means as its variable.
        base_url: Where it is served, if not where the provider is.
        concurrency: Sessions open at once with it; 0 means as many as the provider may have.
        budget: What may be spent with it in a run folder, over all runs, in the provider's currency;
            None for no limit.
    """

    key_variable: str
    name: str = ""
    base_url: str = ""
    concurrency: int = 0
    budget: float | None = None

    @property
    def shown(self) -> str:
        """What it is called."""
        return self.name or self.key_variable


_SETTINGS: Final = tuple(item.name for item in fields(Account))


def check_names(names: Sequence[object], where: str) -> None:
    """Refuse what names no environment variable, without showing it: it may be a key.

    Args:
        names: What should be names.
        where: Where they stand, for the message.

    Raises:
        ConfigurationError: One is none.
    """
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not _is_name(name):
            raise ConfigurationError(
                f"{where}: number {number} is not the name of an environment variable "
                "(it is not shown: it may be a key)",
                hint='write the name in capitals, such as "MUNSIT_KEY_2", and the key into the '
                "environment",
            )


def _is_name(name: str) -> bool:
    is_short = len(name) <= _LONGEST_NAME and max(map(len, name.split("_"))) < _LONGEST_WORD
    return bool(_NAME.fullmatch(name)) and is_short


def check_settings(tables: object, where: str) -> None:
    """Check the tables of accounts, before they are read as such.

    Args:
        tables: What stands there.
        where: Where, for messages.

    Raises:
        ConfigurationError: They are no tables, or one has a setting that there is not.
    """
    if not isinstance(tables, list | tuple):
        raise ConfigurationError(f"{where} is no list of tables", hint=f"write [[{_bare(where)}]]")
    for table in tables:
        if isinstance(table, Account):
            continue
        if not isinstance(table, Mapping):
            raise ConfigurationError(
                f"{where} is no list of tables", hint=f"write [[{_bare(where)}]]"
            )
        for name in table:
            if name not in _SETTINGS:
                close = difflib.get_close_matches(name, _SETTINGS, n=1)
                known = f"known are {', '.join(_SETTINGS)}"
                hint = f"did you mean '{close[0]}'?" if close else known
                raise ConfigurationError(f"{where}: unknown setting '{name}'", hint=hint)
    check_names([_variable_of(table) for table in tables], f"{where}: key_variable")


def check_accounts(accounts: Sequence[Account], where: str) -> None:
    """Check that accounts can be told from one another.

    Args:
        accounts: Of one provider.
        where: Where they stand, for messages.

    Raises:
        ConfigurationError: They cannot.
    """
    seen: set[str] = set()
    for account in accounts:
        if account.shown in seen:
            raise ConfigurationError(
                f"{where}: there are two accounts '{account.shown}'",
                hint="name each key once, or give each account a 'name'",
            )
        seen.add(account.shown)


def _variable_of(table: Account | Mapping[str, object]) -> object:
    return table.key_variable if isinstance(table, Account) else table.get("key_variable")


def _bare(where: str) -> str:
    return where.rsplit("[", 1)[-1].replace("]", "")
