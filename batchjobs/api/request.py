"""A request made definite: where its manifest, run folder and providers are."""

import dataclasses
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs import config
from batchjobs.checkpoint import Checkpoint
from batchjobs.config import Configuration
from batchjobs.errors import UsageError
from batchjobs.files import run_folder
from batchjobs.files.address import Address, is_address, refuse_mistake
from batchjobs.formatting import GIVEN_ROWS, STANDARD_INPUT
from batchjobs.manifest import Source, is_rows
from batchjobs.manifest.hotwords import read_hotwords_file
from batchjobs.options import Options, check_settings
from batchjobs.providers import DEFAULT_PROVIDER, Provider, change_provider, check_base_url
from batchjobs.storage.input_files import InputFiles

_OUTPUTS: Final = Path("outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `plan` and `run` were asked for, made definite.

    Attributes:
        source: The manifest: its path, an open binary stream, or its rows.
        name: The manifest, for messages.
        folder: The run folder.
        address: Where its results go, if that is a place in a bucket.
        manifest_folder: What the manifest's paths are relative to.
        options: As given, with the provider named.
        providers: By name, with what the options say about them.
        base_url: Where the options say that their provider is; empty if they do not.
        refuses_voice: Whether a default voice that the local server does not have is refused.
        files: Lends what the rows name.
    """

    source: Source
    name: str
    folder: Path
    manifest_folder: Path | Address
    options: Options
    providers: Mapping[str, Provider]
    base_url: str
    refuses_voice: bool
    files: InputFiles = field(repr=False, compare=False, default_factory=InputFiles)
    address: Address | None = None


def request_of(source: str | Source, options: Options, *, refuses_voice: bool = True) -> Request:
    """Make a request definite, or refuse it; looks at nothing but the settings.

    Args:
        source: The manifest: a path, an open binary stream, or rows.
        options: How to run it.
        refuses_voice: Whether a voice in the options that the local server does not have is refused,
            and not spoken by another: not where it may be meant for other providers.

    Raises:
        UsageError: An option is out of its range, or the manifest is none to be run here.
        ConfigurationError: The settings are wrong, or there is no such provider.
        MissingExtraError: The detector of speech is not installed.
    """
    check_settings(options)
    if options.compress and not options.library_hooks:
        hint = "leave out one of --compress and --no-library-hooks"
        raise UsageError("--compress needs its hook into trio-websocket", hint=hint)
    if options.pilot and options.select != "all":
        raise UsageError("--pilot and --select both choose rows", hint="give one of them")
    options = _read_hotwords(_name_provider(options))
    if options.vad:
        from batchjobs.audio.voice_activity import SileroDetector

        SileroDetector()  # is it there? Not after everything is planned
    configuration = config.load(options.config)
    providers = _providers(configuration, options)
    manifest_folder: Path | Address
    if isinstance(source, Address) or (isinstance(source, str) and is_address(source)):
        manifest = _find_manifest(str(source))
        folder, address = _find_folder(options, default_folder(manifest))
        name, manifest_folder = str(manifest), manifest.parent
        definite: Source = manifest
    elif isinstance(source, str | Path):
        refuse_mistake(str(source))
        path = Path(source)
        folder, address = _find_folder(options, default_folder(path))
        if path.resolve() == (folder / run_folder.FAILED).resolve():
            raise UsageError(
                f"{path} is written anew by every run in {folder}",
                hint="run its manifest with --retry-failed, or give another --output",
            )
        name, manifest_folder = str(source), path.parent
        definite = path
    else:
        _check_source(source)
        name = GIVEN_ROWS if is_rows(source) else STANDARD_INPUT
        if options.output is None:
            raise _nameless(name)
        folder, address = _find_folder(options, Path())
        manifest_folder, definite = Path(), source
    base_url = options.base_url and check_base_url(options.base_url, insecure=options.insecure)
    return Request(
        source=definite,
        name=name,
        folder=folder,
        manifest_folder=manifest_folder,
        options=options,
        providers=providers,
        base_url=base_url,
        refuses_voice=refuses_voice,
        files=InputFiles(insecure=options.insecure),
        address=address,
    )


def _find_manifest(text: str) -> Address:
    """Read a manifest's address.

    Raises:
        UsageError: It is no object's: a store would give the bucket's list for it.
    """
    address = Address.parse(text)
    if not address.prefix:
        raise UsageError(f"{text} is a bucket", hint="name the manifest in it: s3://BUCKET/NAME")
    return address


def _find_folder(options: Options, default: Path) -> tuple[Path, Address | None]:
    """Find the run folder, and where the results go if that is in a bucket.

    Args:
        options: As given.
        default: Where the run is if they do not say.

    Raises:
        UsageError: The place is none, or options do not go together.
    """
    output = options.output
    refuse_mistake(str(output or ""))
    if output is None or isinstance(output, Path) or not is_address(output):
        if options.work_folder is not None or options.take_over:
            name = "--take-over" if options.take_over else "--work-folder"
            raise UsageError(
                f"{name} is for a run whose results go to a bucket",
                hint="give --output s3://BUCKET/FOLDER, or leave it out",
            )
        return default if output is None else Path(output), None
    address = Address.parse(output)
    return options.work_folder or _OUTPUTS / address.name, address


def default_folder(manifest: Path | Address) -> Path:
    """Give the run folder of a manifest whose run is told of no other."""
    return _OUTPUTS / Path(manifest.name.removesuffix(".gz")).stem


def _check_source(source: object) -> None:
    """Refuse what is neither a stream of bytes nor rows, before it is taken for one of them.

    Raises:
        UsageError: It is a single row, say, or a stream of text.
    """
    if isinstance(source, io.TextIOBase):
        raise UsageError("the manifest is a stream of text", hint='open it with open(…, "rb")')
    is_some = hasattr(source, "read") or isinstance(source, Iterable)
    if not is_some or isinstance(source, Mapping | bytes):
        raise UsageError(
            f"a manifest cannot be of the type {type(source).__name__}",
            hint="give a path, an open binary stream, or rows: an iterable of mappings",
        )


def _nameless(name: str) -> UsageError:
    if name == GIVEN_ROWS:
        hint = "give Options(output=…): a folder, the same one to continue the run"
        return UsageError("rows have no name to call a run folder by", hint=hint)
    return UsageError("a manifest from the standard input has no name", hint="give --output DIR")


def _name_provider(options: Options) -> Options:
    """Name the provider in both of its places.

    Raises:
        UsageError: They name two.
    """
    given, beside = options.provider, options.speech.provider
    if given and beside and given != beside:
        raise UsageError(
            f"the options name two providers: '{given}', and '{beside}' in speech",
            hint="give one of them; rows may name others in column 'provider'",
        )
    name = given or beside or DEFAULT_PROVIDER
    speech = dataclasses.replace(options.speech, provider=name)
    return dataclasses.replace(options, provider=name, speech=speech)


def _read_hotwords(options: Options) -> Options:
    """Put the words of a file with those that are given: its content says what is to be bought.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    speech = options.speech
    if speech.hotwords_file is None:
        return options
    words = [speech.hotwords] if speech.hotwords else []
    words += read_hotwords_file(speech.hotwords_file)
    speech = dataclasses.replace(speech, hotwords=",".join(words), hotwords_file=None)
    return dataclasses.replace(options, speech=speech)


def _providers(configuration: Configuration, options: Options) -> dict[str, Provider]:
    """Apply what the options say to the table of providers."""
    providers = dict(configuration.providers)
    configuration.find_provider(options.provider)
    if options.pace is not None:
        pace: Mapping[str, object] = {"pace": options.pace, "listen_pace": options.pace}
        providers = {n: change_provider(p, pace, where="--pace") for n, p in providers.items()}
    if options.engine:
        engine = {"engine": options.engine}
        local = providers[DEFAULT_PROVIDER]
        providers[DEFAULT_PROVIDER] = change_provider(local, engine, where="--engine")
    return providers


def input_root(request: Request) -> Path | Address | None:
    """Give the second place for inputs; of a run's ``failed.jsonl``, where its manifest is."""
    given = request.options.input_root
    if given is not None:
        refuse_mistake(str(given))
        return Address.parse(str(given)) if is_address(str(given)) else Path(given).absolute()
    folder = request.manifest_folder
    if (
        isinstance(folder, Address)
        or request.source != folder / run_folder.FAILED
        or not (folder / run_folder.CHECKPOINT).is_file()
    ):
        return None
    with Checkpoint.read(folder) as checkpoint:
        path = checkpoint.read_settings().get("manifest_path", "")
    if not path:
        return None
    return Address.parse(path).parent if is_address(path) else Path(path).parent


def inputs_folder(request: Request) -> str:
    """Give what recordings' paths are relative to, resolved; empty if they may be in two places."""
    if input_root(request) is not None:
        return ""
    folder = request.manifest_folder
    return str(folder if isinstance(folder, Address) else folder.resolve())


def path_of(request: Request) -> str:
    """Give the manifest's whole path, or its address; empty for a stream or rows."""
    if isinstance(request.source, Address):
        return str(request.source)
    return str(request.source.absolute()) if isinstance(request.source, Path) else ""
