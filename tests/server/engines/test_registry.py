"""The engines' table says what there is, and the shared handling of samples is exact."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.audio.pcm import quantise
from batchjobs.errors import ConfigurationError, EngineError, MissingExtraError
from batchjobs.server.engines import registry, samples
from batchjobs.server.engines.espeak import EspeakSynthesiser
from batchjobs.server.engines.sphinx import SphinxRecogniser
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser


@pytest.mark.parametrize(
    ("name", "speaks", "listens"),
    [
        ("tone", ToneSynthesiser, ToneRecogniser),
        ("espeak", EspeakSynthesiser, SphinxRecogniser),
        ("pocketsphinx", EspeakSynthesiser, SphinxRecogniser),
        ("auto", EspeakSynthesiser, SphinxRecogniser),
    ],
)
def test_a_choice_makes_its_engines(name: str, speaks: type, listens: type) -> None:
    """A name is a choice for the whole server: one that only speaks brings one that listens."""
    synthesiser = registry.make_synthesiser(name)
    recogniser = registry.make_recogniser(name)
    assert type(synthesiser) is speaks
    assert type(recogniser) is listens
    synthesiser.close()
    recogniser.close()


def test_sherpa_speaks_by_espeak() -> None:
    """The engine sherpa only listens, so espeak speaks for it."""
    assert type(registry.make_synthesiser("sherpa")) is EspeakSynthesiser


def test_sherpa_asks_for_its_model() -> None:
    """The engine sherpa without a model folder says which option gives it one."""
    with pytest.raises(ConfigurationError, match="has no model") as caught:
        registry.make_recogniser("sherpa")
    assert "--model FOLDER" in caught.value.hint


def test_an_unknown_engine_is_answered_with_the_known_ones() -> None:
    """A name that is no engine is a configuration error that lists those there are."""
    for make in (registry.make_synthesiser, registry.make_recogniser):
        with pytest.raises(ConfigurationError, match=r"no engine 'festival'.*tone.*sherpa"):
            make("festival")


@pytest.mark.parametrize(
    ("name", "module", "package", "extra"),
    [
        ("espeak", "espeakng_loader", "espeakng-loader", "local"),
        ("sherpa", "espeakng_loader", "espeakng-loader", "local"),
    ],
)
def test_a_missing_voice_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str, extra: str
) -> None:
    """A speaking engine without its package says which package and which extra to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=package) as caught:
        registry.make_synthesiser(name)
    assert caught.value.hint == f"pip install 'batchjobs[{extra}]'"


@pytest.mark.parametrize(
    ("name", "module", "package", "extra"),
    [
        ("espeak", "pocketsphinx", "pocketsphinx", "local"),
        ("sherpa", "sherpa_onnx", "sherpa-onnx", "sherpa"),
    ],
)
def test_a_missing_recogniser_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str, extra: str
) -> None:
    """A listening engine without its package says which package and which extra to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=package) as caught:
        registry.make_recogniser(name, model_folder=Path())
    assert caught.value.hint == f"pip install 'batchjobs[{extra}]'"


def test_auto_without_its_packages_tells_of_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default choice without its packages also names the engine that needs none."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match="espeakng-loader") as caught:
        registry.make_synthesiser("auto")
    assert "--engine tone" in caught.value.hint


# -- samples -----------------------------------------------------------------------------------

_CUTS = st.lists(st.integers(0, 9_600), max_size=8)


@settings(max_examples=30, deadline=None)
@given(cuts=_CUTS, rate=st.sampled_from([8_000, 16_000, 22_050, 44_100]))
def test_samples_are_the_same_however_the_bytes_are_cut(cuts: list[int], rate: int) -> None:
    """PCM cut anywhere, even inside a sample, is read and resampled to the very same samples."""
    pcm = np.random.default_rng(7).integers(-32768, 32768, 4_800).astype("<i2").tobytes()
    whole = samples.PcmReader(sample_rate=16_000).push(pcm, rate)
    reader = samples.PcmReader(sample_rate=16_000)
    edges = [0, *sorted(cuts), len(pcm)]
    parts = [reader.push(pcm[start:end], rate) for start, end in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_samples_at_the_wanted_rate_come_back_exactly() -> None:
    """Without a change of rate, 16-bit samples survive the way through float unchanged."""
    pcm = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert quantise(samples.PcmReader(sample_rate=16_000).push(pcm, 16_000)) == pcm


@pytest.mark.parametrize("rate", [-1, 0, 1, 999, 192_001, 2**32 - 1])
def test_a_rate_that_no_recording_has_is_refused(rate: int) -> None:
    """A nonsensical sample rate in a header is an engine error, not a crash or a huge table."""
    with pytest.raises(EngineError, match=str(rate)):
        samples.PcmReader(sample_rate=16_000).push(bytes(4), rate)


def test_a_resampler_gives_all_its_samples_in_the_end() -> None:
    """What the filter holds back comes out with the last push."""
    resampler = samples.Resampler(from_rate=24_000, to_rate=16_000)
    first = resampler.push(np.zeros(24_000, np.float32))
    last = resampler.push(np.zeros(0, np.float32), last=True)
    assert len(first) + len(last) == 16_000


def test_an_utterance_ends_in_a_pause_once_it_is_long() -> None:
    """Speech is cut in a pause after five seconds, and not before."""
    end = samples.UtteranceEnd(sample_rate=100)
    loud, quiet = np.full(100, 0.5, np.float32), np.zeros(50, np.float32)
    assert [end.ends_behind(block) for block in (loud, quiet, loud, loud, loud)] == [False] * 5
    assert not end.ends_behind(loud)
    assert end.ends_behind(quiet)
    assert not end.ends_behind(quiet)


def test_an_endless_utterance_is_cut_anyway() -> None:
    """Speech without a pause is cut at twenty-five seconds, where recognisers reach their limit."""
    end = samples.UtteranceEnd(sample_rate=100)
    loud = np.full(100, 0.5, np.float32)
    assert [end.ends_behind(loud) for _ in range(26)].index(True) == 24
