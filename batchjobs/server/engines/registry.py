"""The table of engines, and the making of those that a server was asked for."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from batchjobs.errors import ConfigurationError, MissingExtraError
from batchjobs.server.engines.interface import Recogniser, Synthesiser


class Engine(NamedTuple):
    """One choice of engines for a whole server: the modules that speak and listen."""

    synthesis: str
    recognition: str


ENGINES: Mapping[str, Engine] = {
    "auto": Engine(synthesis="espeak", recognition="pocketsphinx"),
    "tone": Engine(synthesis="tone", recognition="tone"),
    "espeak": Engine(synthesis="espeak", recognition="pocketsphinx"),
    "pocketsphinx": Engine(synthesis="espeak", recognition="pocketsphinx"),
    "sherpa": Engine(synthesis="espeak", recognition="sherpa"),
}
"""What ``--engine`` offers. An engine that only speaks or only listens brings its partner."""

_PACKAGES: Mapping[str, tuple[str, str, str]] = {
    # engine: (module to find, distribution, extra)
    "espeak": ("espeakng_loader", "espeakng-loader", "local"),
    "pocketsphinx": ("pocketsphinx", "pocketsphinx", "local"),
    "sherpa": ("sherpa_onnx", "sherpa-onnx", "sherpa"),
}


def make_synthesiser(name: str) -> Synthesiser:
    """Make the engine that speaks for a choice of `ENGINES`.

    Raises:
        ConfigurationError: There is no such choice.
        MissingExtraError: Its package is not installed.
    """
    part = _engine(name).synthesis
    _require(part, name)
    # Imported here: each engine brings packages that the others do without.
    if part == "tone":
        from batchjobs.server.engines.tone import ToneSynthesiser

        return ToneSynthesiser()
    from batchjobs.server.engines.espeak import EspeakSynthesiser

    return EspeakSynthesiser()


def make_recogniser(name: str, *, model_folder: Path | None = None) -> Recogniser:
    """Make the engine that listens for a choice of `ENGINES`.

    Args:
        name: A key of `ENGINES`.
        model_folder: Where sherpa's model lies; the others need none.

    Raises:
        ConfigurationError: There is no such choice, or the model cannot be used.
        MissingExtraError: Its package is not installed.
    """
    part = _engine(name).recognition
    _require(part, name)
    if part == "tone":
        from batchjobs.server.engines.tone import ToneRecogniser

        return ToneRecogniser()
    if part == "pocketsphinx":
        from batchjobs.server.engines.sphinx import SphinxRecogniser

        return SphinxRecogniser()
    from batchjobs.server.engines.sherpa import SherpaRecogniser

    return SherpaRecogniser(model_folder)


def _engine(name: str) -> Engine:
    try:
        return ENGINES[name]
    except KeyError:
        hint = f"the engines are {', '.join(ENGINES)}"
        raise ConfigurationError(f"there is no engine '{name}'", hint=hint) from None


def _require(part: str, name: str) -> None:
    if part not in _PACKAGES:
        return
    module, package, extra = _PACKAGES[part]
    if find_spec(module) is not None:
        return
    missing = MissingExtraError(f"the engine '{name}'", package=package, extra=extra)
    if name == "auto":
        missing.hint += ", or take --engine tone, which needs nothing"
    raise missing
