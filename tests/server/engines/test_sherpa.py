"""Sherpa-onnx with models made here: what it hears, and models that cannot be used."""

import functools
import itertools
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from batchjobs.audio.pcm import quantise
from batchjobs.errors import ConfigurationError, EngineError
from batchjobs.server.engines.sherpa import (
    SherpaRecogniser,
    SherpaStream,
    _check_apart,
    _one_at_a_time,
    check,
)
from batchjobs.server.engines.sherpa_model import RECIPES, find_model
from tests.server.engines.hearing import hear

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

#
# Toy models, written as ONNX by hand: what is as loud as a voice is the token of index 0, the rest
# is blank. sherpa-onnx loads and runs them like any other.
_TOKENS = "\u2581\u0633 0\nb 1\n<blk> 2\n"

_FEATURES = 80

_OFFLINE_FACTS = {
    "model_type": "EncDecCTCModelBPE",
    "vocab_size": "2",
    "subsampling_factor": "1",
    "normalize_type": "",
}

_STREAMING_FACTS = {
    "vocab_size": "2",
    "subsampling_factor": "1",
    "normalize_type": "",
    "window_size": "20",
    "chunk_shift": "20",
    **{f"cache_last_{kind}_dim{axis}": "1" for kind in ("channel", "time") for axis in (1, 2, 3)},
}


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(operator: str, inputs: str, output: str, attribute: bytes = b"") -> bytes:
    names = b"".join(_field(1, name) for name in inputs.split())
    return _field(1, names + _field(2, output) + _field(4, operator) + attribute)


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    shape = b"".join(_field(1, size) for size in array.shape)
    return _field(5, shape + _field(2, 1) + _field(8, name) + _field(9, array.tobytes()))


def _value(place: int, name: str, element: int, shape: str) -> bytes:
    axes = b"".join(
        _field(1, _field(1, int(axis)) if axis.isdigit() else _field(2, axis))
        for axis in shape.split()
    )
    return _field(
        place, _field(1, name) + _field(2, _field(1, _field(1, element) + _field(2, axes)))
    )


def _metadata(facts: dict[str, str]) -> bytes:
    return b"".join(_field(14, _field(1, key) + _field(2, text)) for key, text in facts.items())


def _onnx(facts: dict[str, str], *, streaming: bool = False) -> bytes:
    weights = np.zeros((_FEATURES, 3), np.float32)
    weights[:, 0] = 1 / _FEATURES
    bias = np.array([0, -100, -8], np.float32)
    order = _field(
        5, _field(1, "perm") + b"".join(_field(8, axis) for axis in (0, 2, 1)) + _field(20, 7)
    )
    graph = (
        _node("Transpose", "audio_signal", "frames", order)
        + _node("MatMul", "frames weights", "scores")
        + _node("Add", "scores bias", "logprobs")
        + _field(2, "toy")
        + _tensor("weights", weights)
        + _tensor("bias", bias)
        + _value(11, "audio_signal", 1, f"N {_FEATURES} T")
        + _value(11, "length", 7, "N")
        + _value(12, "logprobs", 1, "N T 3")
    )
    if streaming:
        states = [("length", 7, "N"), ("channel", 1, "N a b c"), ("time", 1, "N d e f")]
        states.append(("channel_length", 7, "N"))
        for name, element, shape in states:
            graph += _node("Identity", name, f"next_{name}")
            graph += _value(12, f"next_{name}", element, shape)
            graph += b"" if name == "length" else _value(11, name, element, shape)
    opset = _field(8, _field(1, "") + _field(2, 17))
    return _field(1, 8) + opset + _field(7, graph) + _metadata(facts)


def _bursts(count: int) -> bytes:
    noise = np.random.default_rng(11).standard_normal(8_000) * 0.2
    burst = np.concatenate([np.zeros(16_000), noise, np.zeros(8_000)]).astype(np.float32)
    return quantise(np.tile(burst, count))


@pytest.fixture
def offline_model(tmp_path: Path) -> Path:
    """Give a folder with a model that hears whole utterances."""
    (tmp_path / "tokens.txt").write_text(_TOKENS, encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes(_onnx(_OFFLINE_FACTS))
    return tmp_path


@pytest.fixture
def streaming_model(tmp_path: Path) -> Path:
    """Give a folder with a model that hears a stream."""
    (tmp_path / "tokens.txt").write_text(_TOKENS, encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes(_onnx(_STREAMING_FACTS, streaming=True))
    return tmp_path


def test_an_offline_model_hears_utterance_by_utterance(offline_model: Path) -> None:
    """A model for whole utterances gives a cumulative transcript of a long recording."""
    recogniser = SherpaRecogniser(offline_model)
    seen = hear(recogniser, _bursts(8))
    assert seen[0] == ""
    assert seen[-1].split() == ["\u0633"] * 8
    assert all(late.startswith(early) for early, late in itertools.pairwise(seen))
    assert "NeMo CTC" in str(recogniser)
    recogniser.close()


def test_a_streaming_model_hears_to_the_last_sample(streaming_model: Path) -> None:
    """A streaming model gives what was said last without any more audio behind it."""
    recogniser = SherpaRecogniser(streaming_model)
    pcm = _bursts(2)[: -2 * 8_000]
    seen = hear(recogniser, pcm, chunk_bytes=16_000)
    assert set(seen[-1].split()) == {"\u0633"}
    assert len(seen[-1]) > len(seen[len(seen) // 2]) > 0
    assert "streaming NeMo CTC" in str(recogniser)
    stream = recogniser.start()
    assert stream.accept(b"", 16_000) == ""
    stream.close()


def test_a_models_other_rate_is_resampled(offline_model: Path) -> None:
    """Audio at 8 kHz is heard by a model for 16 kHz."""
    recogniser = SherpaRecogniser(offline_model)
    assert hear(recogniser, _bursts(1), 8_000)[-1] == "\u0633"


def test_check_is_quiet_about_a_good_model(offline_model: Path) -> None:
    """The check that runs in its own process passes a model that works."""
    check(str(offline_model))


def test_a_check_that_takes_too_long_is_told(offline_model: Path) -> None:
    """A model that does not load in time is a configuration error."""
    with pytest.raises(ConfigurationError, match="too long"):
        _check_apart(offline_model, seconds=0.001)


def test_a_failure_on_some_audio_is_told() -> None:
    """What onnxruntime says of audio it cannot take becomes an engine error."""

    def refuse(samples: NDArray[np.float32]) -> str:
        raise RuntimeError(f"{len(samples)} samples")

    stream = SherpaStream(functools.partial(_one_at_a_time, threading.Lock(), refuse))
    with pytest.raises(EngineError, match="16 samples"):
        stream.accept(bytes(32), 16_000)
    stream.close()


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


_TOKEN_FILE = {"tokens.txt": _TOKENS.encode()}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no tokens.txt in .*nothing.*encoder, decoder and joiner"),
        ({"model.onnx": b""}, r"no tokens.txt in .*it holds model.onnx"),
        (_TOKEN_FILE, "no model that is known"),
        (_TOKEN_FILE | {f"{n:02}.bin": b"" for n in range(14)}, r"11\.bin|and 3 more"),
        (_TOKEN_FILE | {"model.onnx": b""}, "no model that is known"),
        (_TOKEN_FILE | {"encoder.onnx": b""}, "no model that is known"),
        (_TOKEN_FILE | {"model.onnx": b"garbage"}, "model.onnx is no ONNX model"),
        (_TOKEN_FILE | {"model.onnx": _onnx({})[:-900]}, "model.onnx ends early"),
        (_TOKEN_FILE | {"model.onnx": b"\x80" * 20}, "no ONNX model: it ends early"),
        (_TOKEN_FILE | {"model.onnx": b"\x08"}, "no ONNX model: it ends early"),
        (_TOKEN_FILE | {"model.onnx": _metadata({"model_type": "other"})}, "no model that is"),
        # These sherpa-onnx refuses by ending the process that loads them.
        (
            _TOKEN_FILE | {"model.onnx": _onnx({"model_type": "EncDecCTCModel"})},
            "vocab_size.*does not exist",
        ),
        ({"tokens.txt": b"", "model.onnx": _onnx(_OFFLINE_FACTS)}, "tokens.txt contains"),
        (
            _TOKEN_FILE | {"model.onnx": _metadata(_OFFLINE_FACTS)},
            "cannot be used: .*(graph|failed)|status",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_told(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """Whatever is wrong with a model folder is a configuration error, and we live on."""
    folder = _write(tmp_path / "model", files)
    with pytest.raises(ConfigurationError, match=message):
        SherpaRecogniser(folder)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """No folder, or one that is not there, is a configuration error that says what to do."""
    with pytest.raises(ConfigurationError, match="has no model") as caught:
        SherpaRecogniser(None)
    assert "--model FOLDER" in caught.value.hint
    with pytest.raises(ConfigurationError, match="no model folder"):
        SherpaRecogniser(tmp_path / "nowhere")


_THREE = ("encoder", "decoder", "joiner")


@pytest.mark.parametrize(
    ("kind", "names", "facts"),
    [
        ("streaming transducer", _THREE, {"decode_chunk_len": "32", "model_type": "zipformer2"}),
        ("streaming transducer", _THREE, {"chunk_shift": "8"}),
        ("transducer", _THREE, {"model_type": "zipformer2"}),
        ("NeMo transducer", _THREE, {"model_type": "EncDecRNNTBPEModel"}),
        ("streaming paraformer", _THREE[:2], {"lfr_window_size": "7"}),
        ("whisper", _THREE[:2], {"model_type": "whisper-tiny"}),
        ("streaming zipformer CTC", ("model",), {"decode_chunk_len": "32"}),
        ("streaming NeMo CTC", ("model",), {"chunk_shift": "8"}),
        ("NeMo CTC", ("model",), {"model_type": "EncDecCTCModel"}),
        ("zipformer CTC", ("model",), {"model_type": "zipformer2_ctc"}),
        ("SenseVoice", ("model",), {"model_type": "sense_voice_ctc"}),
        ("paraformer", ("model",), {"model_type": "paraformer"}),
    ],
)
def test_a_model_is_known_by_its_files(
    tmp_path: Path, kind: str, names: tuple[str, ...], facts: dict[str, str]
) -> None:
    """Every kind of model is told by its files' names and facts; full precision comes first."""
    for name in names:
        # A field of fixed length that nobody asked for is skipped.
        data = b"\x0d" + struct.pack("<f", 1.0) + b"\x11" + bytes(8) + _metadata(facts)
        (tmp_path / f"tiny-{name}.int8.onnx").write_bytes(data)
        (tmp_path / f"tiny-{name}.onnx").write_bytes(data)
    (tmp_path / "tiny-tokens.txt").write_text(_TOKENS, encoding="utf-8")
    found = find_model(tmp_path)
    assert found.kind == kind
    assert tuple(found.files) == RECIPES[kind].parts
    assert [path.name for path in found.files.values()] == [f"tiny-{name}.onnx" for name in names]
    assert found.tokens.name == "tiny-tokens.txt"
