"""What ``import batchjobs`` offers: everything it lists, typed, and nothing before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import batchjobs
from batchjobs.api.exports import HOMES

PROGRAM = (Path(__file__).parent / "typed_program.py").read_text(encoding="utf-8")
"""Which `mypy` checks as it checks all here: names, arguments and records are typed for callers."""


def test_the_list_the_homes_and_the_program_agree() -> None:
    """A name that is listed has a home, can be imported, and is used below."""
    assert {*HOMES, "errors", "__version__"} == set(batchjobs.__all__) <= set(dir(batchjobs))
    for name in batchjobs.__all__:
        assert getattr(batchjobs, name) is not None
        assert f"batchjobs.{name}" in PROGRAM


def test_a_callable_stays_one_after_all_modules_were_imported() -> None:
    """No module of the package is called as a function that it offers: it would hide it."""
    taken = {path.stem for path in Path(batchjobs.__file__).parent.iterdir()}
    assert not taken & set(HOMES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The package offers what it lists, and no more."""
    with pytest.raises(AttributeError):
        _ = batchjobs.nothing_like_it  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_heavy() -> None:
    """The help must not wait for trio or numpy, nor a program that wants the version."""
    code = "import sys, batchjobs; batchjobs.__version__; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"trio", "numpy", "msgspec", "batchjobs.api.run"} & set(ran.stdout.split())
