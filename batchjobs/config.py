"""Settings from ``batchjobs.toml``, and keys from the environment or a file that only we may read."""

import difflib
import os
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.accounts import Account
from batchjobs.errors import ConfigurationError
from batchjobs.providers import BUILT_IN, Provider, read_providers

FILE_NAME: Final = "batchjobs.toml"
KEY_FILE: Final = "--key-file"
"""What the account is called whose key comes from a file."""
_TABLES: Final = """
accept bind book export check ctl glossary plan probe providers prune report results review run scan serve status
verify watch
""".split()
_OTHERS_MAY: Final = 0o077
_GROUP_READS: Final = 0o040


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a configuration file says.

    Attributes:
        path: The file; None if there is none.
        providers: The built-in providers and the file's, by name.
        changed: For each provider, the settings that the file gives.
        defaults: For each command, its options' defaults.
    """

    path: Path | None = None
    providers: Mapping[str, Provider] = field(default_factory=lambda: dict(BUILT_IN))
    changed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def find_provider(self, name: str) -> Provider:
        """Find a provider by its name.

        Raises:
            ConfigurationError: There is none.
        """
        if name not in self.providers:
            known = ", ".join(sorted(self.providers))
            raise ConfigurationError(f"there is no provider '{name}'", hint=f"there are {known}")
        return self.providers[name]


def load(path: Path | None = None) -> Configuration:
    """Read a configuration file.

    Args:
        path: The file; None means ``batchjobs.toml`` in the current folder, if there is one.

    Raises:
        ConfigurationError: It is missing, no TOML, or says what makes no sense.
    """
    if path is None:
        path = Path(FILE_NAME)
        if not path.is_file():
            return Configuration()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    defaults = _read_defaults(content, path)
    tables = content.get("providers", {})
    return Configuration(
        path=path,
        providers=read_providers(tables, where=str(path)),
        changed={name: frozenset(table) - {"like"} for name, table in tables.items()},
        defaults=defaults,
    )


def _read_defaults(content: Mapping[str, object], path: Path) -> dict[str, dict[str, object]]:
    """Sort out the tables of commands."""
    defaults: dict[str, dict[str, object]] = {}
    for name, table in content.items():
        if name not in _TABLES:
            known = ", ".join(f"[{known}]" for known in sorted(_TABLES))
            close = difflib.get_close_matches(name, _TABLES, n=1)
            hint = f"did you mean [{close[0]}]?" if close else f"known are {known}"
            raise ConfigurationError(f"{path}: unknown table '{name}'", hint=hint)
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: '{name}' is not a table", hint=f"write [{name}]")
        if name != "providers":
            defaults[name] = {option.replace("-", "_"): value for option, value in table.items()}
    return defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An account with its key.

    Attributes:
        account: What it is.
        key: Its key; never shown.
    """

    account: Account
    key: str = field(repr=False)


def find_access(
    provider: Provider,
    *,
    key_file: Path | None,
    environment: Mapping[str, str],
    is_needed: bool = False,
) -> tuple[list[Access], dict[str, str]]:
    """Find the accounts with a provider whose keys there are.

    Args:
        provider: Which.
        key_file: As for `read_key`; it takes the place of all accounts.
        environment: The process's environment.
        is_needed: As for `read_key`.

    Returns:
        The accounts, and of others, by name, why it is gone without them; both are empty if there is no key.

    Raises:
        ConfigurationError: As for `read_key`.
    """
    if key_file is not None:
        key = _read_file(key_file, environment)
        return [
            Access(account=Account(key_variable=provider.key_variable, name=KEY_FILE), key=key)
        ], {}
    found: list[Access] = []
    absent: dict[str, str] = {}
    for account in provider.every_account:
        variable = account.key_variable
        key = _check_key(environment.get(variable, ""), variable)
        twin = next((each.account for each in found if key and _is_same(each, account, key)), None)
        if twin is not None:
            absent[account.shown] = f"{variable} holds the key of {twin.key_variable}"
        elif key:
            found.append(Access(account=account, key=key))
        else:
            absent[account.shown] = f"{variable} is not set"
    if is_needed and not found and not provider.engine:
        shown = " or ".join(dict.fromkeys(each.key_variable for each in provider.every_account))
        hint = f"set {shown}, or give --key-file FILE"
        raise ConfigurationError(f"no key for the provider '{provider.name}'", hint=hint)
    return found, absent if found else {}


def _is_same(access: Access, account: Account, key: str) -> bool:
    return access.key == key and access.account.base_url == account.base_url


def choose_account(
    provider: Provider, *, key_file: Path | None, environment: Mapping[str, str]
) -> tuple[Provider, str]:
    """Give a provider as its first account has it whose key is there, and that key.

    Raises:
        ConfigurationError: As for `read_key`, where a key is needed.
    """
    found, _ = find_access(provider, key_file=key_file, environment=environment, is_needed=True)
    return (provider.with_account(found[0].account), found[0].key) if found else (provider, "")


def read_key(
    provider: Provider,
    *,
    key_file: Path | None,
    environment: Mapping[str, str],
    is_needed: bool = False,
) -> str:
    """Find a provider's key, the first of several.

    Args:
        provider: Whose key.
        key_file: A file that holds it, readable by its owner only; None to use the environment.
        environment: The process's environment.
        is_needed: Whether there has to be one, unless the provider is a local server.

    Returns:
        The key; empty if there is none.

    Raises:
        ConfigurationError: The file cannot be read, is open to others, or holds no key; or there is
            none that is needed.
    """
    found, _ = find_access(
        provider, key_file=key_file, environment=environment, is_needed=is_needed
    )
    return found[0].key if found else ""


def _read_file(key_file: Path, environment: Mapping[str, str]) -> str:
    try:
        with key_file.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(10_000)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the key file {key_file}: {error.strerror}"
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"the key file {key_file} holds no text") from None
    others_may = mode & _OTHERS_MAY
    if _is_credential(key_file, environment):
        others_may &= ~_GROUP_READS
    if stat.S_ISREG(mode) and others_may:
        raise ConfigurationError(
            f"others may read the key file {key_file}",
            hint=f"chmod 600 {shlex.quote(str(key_file))}",
        )
    if not content.strip():
        raise ConfigurationError(f"the key file {key_file} is empty")
    return _check_key(content, str(key_file))


def _is_credential(key_file: Path, environment: Mapping[str, str]) -> bool:
    """Whether systemd has put a file there for this service alone.

    It lets the service's user in by an access list, whose mask then shows as the group's.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY", "")
    return bool(folder) and key_file.absolute().parent == Path(folder)


def _check_key(key: str, where: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"the key in {where} holds characters that no key has", hint="copy it again"
        )
    return key
