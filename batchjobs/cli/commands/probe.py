"""The command `probe`."""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import LocalPath, complete_provider, config_option, json_option, option
from batchjobs.formatting import money

if TYPE_CHECKING:
    from batchjobs.providers import Provider


@click.command()
@click.argument("provider", shell_complete=complete_provider)
@option("--voice", default="", help="Voice to speak with.  [default: the provider's]")
@option("--base-url", default="", help="Where the provider is: wss://HOST/api/v1.")
@option(
    "--key-file",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help="File with the key, readable by its owner only.",
)
@option("--insecure", is_flag=True, help="Allow unencrypted connections to other machines.")
@option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@json_option
@config_option
def probe(
    provider: str,
    *,
    voice: str,
    base_url: str,
    key_file: Path | None,
    insecure: bool,
    yes: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """Find out over what a service speaks, and whether its socket sends what is pending before a close.

    Its documents do not say. If it does, sessions need not wait for silence to know that the audio
    has ended, which in short ones is most of the time; if the socket is silent, HTTP may speak. Says
    first what it costs, speaks one short text thrice, has it heard on the newer of its sockets for
    that, or else on the older one, and prints the settings for 'batchjobs.toml'.
    """
    from batchjobs.api.probe import probe as probe_provider

    with exit_on_error():
        found = probe_provider(
            provider,
            voice=voice,
            base_url=base_url,
            key_file=key_file,
            insecure=insecure,
            config_file=config,
            confirm=functools.partial(_confirm, is_agreed=yes),
            tell=lambda line: say(f"  {line}", sys.stderr),
        )
    if as_json:
        print_json(found)
        return
    for transport in found.transports:
        say(f"# {transport.describe()}")
    for socket in found.hearing:
        say(f"# {socket.describe()}")
    if found.reason:
        say(f"# the socket, {found.reason}")
        gap = f"the longest gap between them {found.longest_gap_seconds:.2f} s"
        say(f"# it sent {found.audio_messages} messages, {gap}")
    if found.close_drains:
        say(f"# waiting for silence took {found.after_audio_seconds:.2f} s more a session")
    say(found.settings.rstrip())


def _confirm(provider: "Provider", *, is_agreed: bool) -> None:
    """Say what it costs, and go on if that is agreed to; a local server costs nothing.

    Raises:
        SystemExit: The answer is no.
    """
    from batchjobs.api.probe import PROBE_CHARACTERS, PROBE_SESSIONS, probe_cost

    cost = probe_cost(provider)
    unknown = "no cost" if provider.engine else "no known price"
    price = f"about {money(cost, provider.currency)}" if cost else unknown
    sessions = f"{PROBE_SESSIONS} sessions, {PROBE_CHARACTERS} characters"
    if provider.stt_path:
        sessions += ", and one or two that hear what was spoken"
    say(f"{provider.name}: {sessions}, {price}", sys.stderr)
    if not (is_agreed or provider.engine or _ask()):
        say("nothing was spent", sys.stderr)
        raise SystemExit(0)


def _ask() -> bool:
    """Ask whether money may be spent; where no answer can come, say how to do without.

    Raises:
        UsageError: The input has ended.
    """
    from batchjobs.errors import UsageError

    sys.stderr.write("go on? [y/N]: ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        say("", sys.stderr)
        raise UsageError(
            "nobody answers, and nothing was spent", hint="pass --yes to go on unasked"
        )
    return answer.strip().lower() in {"y", "yes"}
