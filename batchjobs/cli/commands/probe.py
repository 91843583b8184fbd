"""The command `probe`."""

import dataclasses
import os
import sys
from pathlib import Path

import click

from batchjobs.cli.console import print_json, say, told
from batchjobs.cli.options import complete_provider, config_option, json_option, option
from batchjobs.formatting import money

__all__ = ["probe"]


@click.command(short_help="Find out how a service ends its audio.")
@click.argument("provider", shell_complete=complete_provider)
@option("--voice", default="", help="Voice to speak with.  [default: the provider's]")
@option("--base-url", default="", help="Where the provider is: wss://HOST/api/v1.")
@option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
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
    """Find out whether a service sends what is pending when it is asked to close.

    Its documents do not say. If it does, sessions need not wait for silence to know that the audio
    has ended, which in short ones is most of the time. Says first what it costs, speaks one short
    text twice, and prints the setting for 'batchjobs.toml'.
    """
    import trio

    from batchjobs import config as configuration
    from batchjobs.api import probe
    from batchjobs.errors import ConfigurationError

    with told():
        known = configuration.load(config).providers
        if provider not in known:
            hint = f"there are {', '.join(sorted(known))}"
            raise ConfigurationError(f"there is no provider '{provider}'", hint=hint)
        service = known[provider]
        key = configuration.read_key(service, key_file=key_file, environment=os.environ)
        if not key and not service.engine:
            hint = f"set {service.key_variable}, or give --key-file FILE"
            raise ConfigurationError(f"no key for the provider '{provider}'", hint=hint)
        if not (voice or service.voice):  # before anybody is asked about money
            raise ConfigurationError(f"'{provider}' has no default voice", hint="give --voice ID")
        cost = probe.probe_cost(service)
        characters = 2 * len(probe.PROBE_TEXT)
        unknown = "no cost" if service.engine else "no known price"
        price = f"about {money(cost, service.currency)}" if cost else unknown
        say(f"{provider}: 2 sessions, {characters} characters, {price}", sys.stderr)
        if not (yes or service.engine or _agreed()):
            say("nothing was spent", sys.stderr)
            raise SystemExit(0)

        async def work() -> probe.Finding:
            return await probe.probe(
                service,
                key=key,
                base_url=base_url,
                voice=voice,
                insecure=insecure,
                tell=lambda line: say(f"  {line}", sys.stderr),
            )

        found = trio.run(work)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    say(f"# {found.reason}")
    say(f"# first audio after {found.first_audio_seconds:.2f} s, {found.audio_messages} messages,")
    say(f"# the longest gap between them {found.longest_gap_seconds:.2f} s")
    if found.close_drains:
        say(f"# waiting for silence took {found.after_audio_seconds:.2f} s more a session")
    say(found.settings.rstrip())


def _agreed() -> bool:
    """Ask whether money may be spent; where nobody is there to answer, say how to do without.

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
