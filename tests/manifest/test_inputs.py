"""Texts and recordings that rows name are found, and opened, or it is said why not."""

import resource
from pathlib import Path

import pytest

from batchjobs.errors import ManifestError
from batchjobs.jobs import Job
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults
from tests.manifest.reading import PROVIDERS, SENTENCE, read_bad_row, read_job, read_manifest


def test_a_text_file_is_spoken_exactly(tmp_path: Path) -> None:
    """Line ends, diacritics and joiners arrive as they stand; only a byte order mark goes."""
    text = f"{SENTENCE}\r\nسطر\u200cثان\r\u2028ـ e\u0301\n"
    (tmp_path / "فصل.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    job = read_job(tmp_path, "text_file\nفصل.txt\n")
    assert job.text == text
    assert job.row == {"text_file": "فصل.txt"}


def test_inputs_are_found_in_the_folder_first_and_the_root_second(tmp_path: Path) -> None:
    """Relative or absolute, a path counts below either, and nowhere else."""
    folder, root = tmp_path / "folder", tmp_path / "root"
    folder.mkdir()
    root.mkdir()
    for path in (folder / "a.wav", root / "a.wav", root / "b.wav", tmp_path / "c.wav"):
        path.write_bytes(b"RIFF")
    content = (
        f"audio\na.wav\nb.wav\n{root}/a.wav\n{folder}/a.wav\n{tmp_path}/c.wav\n../c.wav\nd.wav\n"
    )
    rows = read_manifest(folder, content, input_root=root)
    assert [row.audio if isinstance(row, Job) else row.message.split("'")[0] for row in rows] == [
        str(folder / "a.wav"),
        str(root / "b.wav"),
        str(root / "a.wav"),
        str(folder / "a.wav"),
        "the path ",
        "the path ",
        "there is no file ",
    ]


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """The system's own reason is told, for a text file and for a manifest."""
    (tmp_path / "a.txt").write_bytes(b"a")
    content = "text_file\na.txt\n"
    assert read_job(tmp_path, content).text == "a"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        bad = read_bad_row(tmp_path, content)
        with pytest.raises(ManifestError, match="talks: cannot be read: Too many open files"):
            next(
                read_rows(
                    tmp_path / "a.txt",
                    name="talks",
                    folder=tmp_path,
                    providers=PROVIDERS,
                    defaults=Defaults(),
                )
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bad.message == "'a.txt' cannot be read: Too many open files"
