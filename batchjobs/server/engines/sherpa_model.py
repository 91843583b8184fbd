"""What a model folder for sherpa-onnx holds, by its files' names and their metadata."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from batchjobs.errors import ConfigurationError

_LISTED_FILES = 12
_MODELS_AT = "models: https://k2-fsa.github.io/sherpa/onnx/pretrained_models/index.html"
_NEEDED = (
    "a folder holds tokens.txt and one of: encoder, decoder and joiner .onnx (transducer); "
    "encoder and decoder .onnx (whisper, streaming paraformer); one .onnx (CTC of NeMo or "
    "zipformer, paraformer, SenseVoice)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How sherpa-onnx makes a recogniser of one kind of model.

    Attributes:
        streaming: Whether it is an ``OnlineRecognizer``.
        factory: The class's method that makes it.
        parts: What that method calls the model's files.
        settings: Other arguments for it.
    """

    streaming: bool
    factory: str
    parts: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "streaming transducer": Recipe(
            streaming=True, factory="from_transducer", parts=("encoder", "decoder", "joiner")
        ),
        "streaming paraformer": Recipe(
            streaming=True, factory="from_paraformer", parts=("encoder", "decoder")
        ),
        "streaming zipformer CTC": Recipe(
            streaming=True, factory="from_zipformer2_ctc", parts=("model",)
        ),
        "streaming NeMo CTC": Recipe(streaming=True, factory="from_nemo_ctc", parts=("model",)),
        "transducer": Recipe(
            streaming=False, factory="from_transducer", parts=("encoder", "decoder", "joiner")
        ),
        "NeMo transducer": Recipe(
            streaming=False,
            factory="from_transducer",
            parts=("encoder", "decoder", "joiner"),
            settings={"model_type": "nemo_transducer"},
        ),
        # Without a language whisper finds out by itself; sherpa's default is English.
        "whisper": Recipe(
            streaming=False,
            factory="from_whisper",
            parts=("encoder", "decoder"),
            settings={"language": ""},
        ),
        "NeMo CTC": Recipe(streaming=False, factory="from_nemo_ctc", parts=("model",)),
        "zipformer CTC": Recipe(streaming=False, factory="from_zipformer_ctc", parts=("model",)),
        "SenseVoice": Recipe(streaming=False, factory="from_sense_voice", parts=("model",)),
        "paraformer": Recipe(streaming=False, factory="from_paraformer", parts=("paraformer",)),
    }
)


# -- finding out what a folder holds -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as found in a folder.

    Attributes:
        kind: What it is, as people call it.
        tokens: The list of its tokens.
        files: Its parts, by the name that sherpa-onnx gives them.
    """

    kind: str
    tokens: Path
    files: Mapping[str, Path]


def find_model(folder: Path | None) -> Model:
    """Find out which kind of model a folder holds, by its files' names and what they say inside.

    Where a part is there twice, full precision is taken before int8.

    Raises:
        ConfigurationError: No folder, no such folder, or no model that is known here.
    """
    if folder is None:
        raise ConfigurationError("the engine 'sherpa' has no model", hint="give --model FOLDER")
    if not folder.is_dir():
        raise ConfigurationError(f"there is no model folder {folder}", hint=_MODELS_AT)
    tokens = sorted(folder.glob("*tokens.txt"))
    if not tokens:
        hint = f"{_NEEDED}; {_MODELS_AT}"
        raise ConfigurationError(f"no tokens.txt in {_describe(folder)}", hint=hint)
    kind, found = _recognise(folder)
    return Model(
        kind=kind, tokens=tokens[0], files=dict(zip(RECIPES[kind].parts, found, strict=True))
    )


def _recognise(folder: Path) -> tuple[str, list[Path]]:
    parts = {name: _best(folder, name) for name in ("encoder", "decoder", "joiner")}
    present = {name: path for name, path in parts.items() if path is not None}
    single = _best(folder, "")
    if len(present) == 3:
        facts = _facts(present["encoder"])
        kind = "transducer"
        if "decode_chunk_len" in facts or "chunk_shift" in facts:
            kind = "streaming transducer"
        elif facts.get("model_type", "").startswith("EncDec"):
            kind = "NeMo transducer"
        return kind, list(present.values())
    if {"encoder", "decoder"} == present.keys():
        facts = _facts(present["encoder"])
        kind = "streaming paraformer" if "lfr_window_size" in facts else "whisper"
        return kind, list(present.values())
    kind = _single_kind(_facts(single)) if single is not None and not present else ""
    if single is None or not kind:
        hint = f"{_NEEDED}; {_MODELS_AT}"
        raise ConfigurationError(f"no model that is known in {_describe(folder)}", hint=hint)
    return kind, [single]


def _single_kind(facts: Mapping[str, str]) -> str:
    """Name a model of one file by what it says; empty if it says nothing that is known."""
    model_type = facts.get("model_type", "")
    if "decode_chunk_len" in facts:
        return "streaming zipformer CTC"
    if "chunk_shift" in facts:
        return "streaming NeMo CTC"
    if model_type.startswith("EncDec"):
        return "NeMo CTC"
    if model_type.startswith("sense_voice"):
        return "SenseVoice"
    return {"zipformer2_ctc": "zipformer CTC", "paraformer": "paraformer"}.get(model_type, "")


def _best(folder: Path, part: str) -> Path | None:
    files = [path for path in folder.glob("*.onnx") if part in path.name.lower()]
    return min(files, key=lambda path: ("int8" in path.name, path.name), default=None)


def _describe(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    listed = ", ".join(names[:_LISTED_FILES]) or "nothing"
    more = f" and {len(names) - _LISTED_FILES} more" if len(names) > _LISTED_FILES else ""
    return f"{folder} (it holds {listed}{more})"


# -- what an ONNX file says about itself -------------------------------------------------------

_METADATA_FIELD = 14  # metadata_props of ModelProto, in onnx.proto
_SKIPPED_BYTES = {1: 8, 5: 4}  # protobuf's wire types of fixed length


def _facts(path: Path) -> dict[str, str]:
    """Read an ONNX file's metadata without its graph.

    Raises:
        ConfigurationError: It is no ONNX file, or cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            facts = {}
            while file.tell() < size:
                data = _next_field(file, _METADATA_FIELD)
                if data is not None:
                    pair = io.BytesIO(data)
                    key, value = _next_field(pair, 1), _next_field(pair, 2)
                    facts[(key or b"").decode()] = (value or b"").decode()
            whole = file.tell() == size
    except (OSError, ValueError) as error:
        hint = "download it again"
        raise ConfigurationError(f"{path} is no ONNX model: {error}", hint=hint) from error
    if not whole:
        raise ConfigurationError(f"{path} ends early", hint="download it again")
    return facts


def _next_field(file: "io.BufferedReader | io.BytesIO", wanted: int) -> bytes | None:
    """Read a protobuf field: its bytes if it has the wanted number, else skip it."""
    tag = _varint(file)
    match tag & 7:
        case 0:
            _varint(file)
        case 2:
            length = _varint(file)
            if tag >> 3 == wanted:
                return file.read(length)
            file.seek(length, os.SEEK_CUR)
        case 1 | 5 as wire:
            file.seek(_SKIPPED_BYTES[wire], os.SEEK_CUR)
        case wire:
            raise ValueError(f"wire type {wire}")
    return None


def _varint(file: "io.BufferedReader | io.BytesIO") -> int:
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("it ends early")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
        shift += 7
