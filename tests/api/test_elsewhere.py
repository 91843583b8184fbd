"""Which clusters are refused before anybody is asked, and what workers are told first."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from msgspec import structs

from batchjobs.api import elsewhere
from batchjobs.api.elsewhere import check_cluster
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import ConfigurationError
from batchjobs.options import Options
from batchjobs.planning.make_plan import make_plan
from batchjobs.providers import BUILT_IN
from batchjobs.session import Endpoint
from tests.builders import make_recording_job, make_tone, write_recording
from tests.clusters import issue_papers
from tests.runner.runs import QUICK, job

ADDRESS = "tls://192.0.2.1:8786"
PASSWORD = b"hunter2-hunter2"


@pytest.fixture
def papers(tmp_path: Path) -> Mapping[str, Path]:
    """Papers that can be used."""
    return issue_papers(tmp_path)


def options_of(papers: Mapping[str, Path]) -> Options:
    """Give the options of a run on a cluster."""
    return Options(
        cluster=ADDRESS,
        cluster_ca=papers["ca-file"],
        cluster_cert=papers["cert"],
        cluster_key=papers["key"],
    )


def test_papers_that_can_be_used_are_taken(papers: Mapping[str, Path]) -> None:
    """Nobody is asked yet."""
    check_cluster(options_of(papers))


@pytest.mark.parametrize(
    ("name", "said"),
    [("ca-file", "--cluster-ca"), ("cert", "--cluster-cert"), ("key", "--cluster-key")],
)
@pytest.mark.parametrize("content", [None, "", "شهادة"])
def test_papers_that_cannot_be_used_are_named(
    papers: Mapping[str, Path], name: str, said: str, content: str | None
) -> None:
    """Dask would say that no cluster is there."""
    if content is None:
        papers[name].unlink()
    else:
        papers[name].write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        check_cluster(options_of(papers))
    assert said in caught.value.message
    assert str(papers[name]) in caught.value.message


def test_a_key_of_another_certificate_is_refused(papers: Mapping[str, Path]) -> None:
    """Together they have to be one identity."""
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(papers["key"])
    with pytest.raises(ConfigurationError, match="cannot be used"):
        check_cluster(options_of(papers))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(
    papers: Mapping[str, Path],
) -> None:
    """A run without a terminal would wait for ever."""
    key = serialization.load_pem_private_key(papers["key"].read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD),
    )
    papers["key"].write_bytes(sealed)
    with pytest.raises(ConfigurationError, match="needs a password"):
        check_cluster(options_of(papers))


def test_papers_without_tls_are_refused(papers: Mapping[str, Path]) -> None:
    """They would keep nobody out."""
    options = Options(cluster="tcp://127.0.0.1:8786", cluster_ca=papers["ca-file"])
    with pytest.raises(ConfigurationError, match="for a cluster with tls://"):
        check_cluster(options)


@pytest.mark.parametrize(
    ("cluster", "base_url", "is_refused"),
    [
        (ADDRESS, "ws://127.0.0.1:9/api/v1", True),
        (ADDRESS, "wss://speech.example/api/v1", False),
        ("tcp://127.0.0.1:8786", "ws://127.0.0.1:9/api/v1", False),
        ("", "ws://127.0.0.1:9/api/v1", False),
    ],
)
def test_a_server_of_this_machine_is_not_for_workers_of_others(
    cluster: str, base_url: str, is_refused: bool
) -> None:
    """They would look for it on theirs, and fail job by job."""
    endpoint = Endpoint(BUILT_IN["local"], base_url=base_url, key="")
    with pytest.raises(ConfigurationError, match="do not find it") if is_refused else nullcontext():
        elsewhere._refuse_own_server(cluster, {"local": endpoint})


def test_workers_are_asked_for_the_first_recording_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its whole path, whichever way it was named; nothing is asked for where none is heard."""
    monkeypatch.chdir(tmp_path)
    recordings = [write_recording(tmp_path / f"مقابلة {n}.wav", make_tone(1.0)) for n in range(2)]
    heard = [
        structs.replace(make_recording_job(Path(each.name), each.stem), output=f"{each.stem}.txt")
        for each in recordings
    ]
    for number, (rows, expected) in enumerate(
        [([job("a"), *heard], str(recordings[0])), ([job("a")], "")]
    ):
        with Checkpoint.open(tmp_path / f"run{number}") as checkpoint:
            make_plan(
                rows,
                checkpoint=checkpoint,
                providers={**BUILT_IN, QUICK.name: QUICK},
                options=Options(),
                name="t.csv",
            )
            assert elsewhere._find_recording(checkpoint) == expected
