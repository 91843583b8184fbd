"""Which voices there are: asked of the services, known of the local server, and held against a plan."""

import os
from pathlib import Path

from batchjobs import config
from batchjobs.api.request import Request
from batchjobs.errors import ConfigurationError, SessionError, UsageError
from batchjobs.planning.plan import Plan, Use
from batchjobs.providers import Provider, check_base_url
from batchjobs.server.engines import voices as local_voices
from batchjobs.speech import Voice


def list_voices(
    name: str,
    *,
    base_url: str = "",
    key_file: Path | None = None,
    insecure: bool = False,
    config_file: Path | None = None,
) -> tuple[Voice, ...]:
    """List a provider's voices: the local server's own, or those that a service says it has.

    Args:
        name: The provider's name.
        base_url: Where it is, if not where its table says.
        key_file: A file with its key, for its owner only; None takes the environment.
        insecure: Allow unencrypted connections to other machines.
        config_file: The configuration; None means ``batchjobs.toml`` here.

    Raises:
        ConfigurationError: There is no such provider, or its key is missing, or it does not speak.
        KeyRefusedError: It refuses the key.
        ServiceUnavailableError: It cannot be asked, so that nobody here knows its voices.
    """
    provider = config.load(config_file).find_provider(name)
    if not provider.speech_path:
        raise ConfigurationError(f"'{name}' offers no text to speech, and has no voices")
    url = base_url or provider.base_url
    if not url:
        return (Voice(id=provider.voice, name="the default"), *local_voices.VOICES)
    url = check_base_url(url, insecure=insecure)
    try:
        own, key = config.choose_account(provider, key_file=key_file, environment=os.environ)
        url = check_base_url(base_url or own.base_url, insecure=insecure)
        return _ask(own, url, key)
    except (ConfigurationError, SessionError) as error:
        kind = error.ends_as if isinstance(error, SessionError) else ConfigurationError
        hint = error.hint or "look for the voice's id at the service, and try it with --limit 1"
        message = f"the voices of {name} cannot be known here: {error.message}"
        raise kind(message, hint=hint) from error


def _ask(provider: Provider, base_url: str, key: str) -> tuple[Voice, ...]:
    import trio

    from batchjobs.session import Endpoint
    from batchjobs.session.voices import ask_voices

    return trio.run(ask_voices, Endpoint(provider, base_url=base_url, key=key))


def refuse_unknown_voice(request: Request, plan: Plan) -> None:
    """Refuse a voice for all rows that the local server does not have, before another speaks for it.

    Rows may name any: they are written for hosted services, and are rehearsed. So are settings.

    Raises:
        UsageError: There is no such voice.
    """
    if not request.refuses_voice:
        return
    given = request.options.speech.voice_id
    for use in find_stand_ins(plan):
        provider = request.providers[use.provider]
        is_elsewhere = bool(request.base_url or provider.base_url)
        if use.voice == given != provider.voice and not is_elsewhere:
            near = local_voices.find_near(given, provider.voice)
            like = f"did you mean {' or '.join(near)}? " if near else ""
            raise UsageError(
                f"'{given}' is no voice that {use.provider} has",
                hint=f"{like}'batchjobs providers --voices {use.provider}' lists them",
            )


def find_stand_ins(plan: Plan) -> list[Use]:
    """Find the uses of voices that the local server does not have by name, and speaks for."""
    return [
        use
        for use in plan.uses
        if use.voice and use.engine and not local_voices.has_voice(use.engine, use.voice)
    ]
