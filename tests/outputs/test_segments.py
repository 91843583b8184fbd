"""A long job's file is put together from its segments exactly, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchjobs.checkpoint import SegmentRecord
from batchjobs.errors import RecordingError
from batchjobs.files.atomic import publish
from batchjobs.outputs import writing
from batchjobs.outputs.segments import SegmentLostError, Span, assemble
from tests.runner.runs import RATE, speech_for


def test_a_lost_segment_leaves_no_file(tmp_path: Path) -> None:
    """Whatever is wrong with it, what was begun is removed."""
    written = writing.write_speech(tmp_path, f"segments/{'a' * 64}.wav", speech_for("ا" * 20), RATE)
    publish(written.targets)
    file = written.files[0]
    frames = len(speech_for("ا" * 20)) // 2
    segment = SegmentRecord(
        key="a" * 64,
        job_key="j",
        path=file.path,
        bytes=file.bytes,
        frames=frames,
        sample_rate=RATE,
        pcm_sha256=written.pcm_sha256,
    )
    for wrong in (
        replace(segment, pcm_sha256="0" * 64),
        replace(segment, frames=frames + 1),
        replace(segment, path="segments/none.wav"),
    ):
        with pytest.raises(SegmentLostError) as caught:
            assemble(tmp_path, "x.flac", [Span(segment=wrong, pause_frames=0)])
        assert isinstance(caught.value, RecordingError)
        assert caught.value.segment == wrong
        assert [path.name for path in tmp_path.iterdir()] == ["segments"]
