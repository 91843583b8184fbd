"""The way to a store, as the environment has it."""

import sys

import pytest

from batchjobs.errors import ConfigurationError, MissingExtraError
from batchjobs.files.address import Address
from batchjobs.storage import store
from batchjobs.storage.store import check_endpoint, open_store


def test_an_endpoint_without_tls_is_asked_on_this_machine_only() -> None:
    """A rehearsal needs no permission; an address elsewhere does."""
    assert not check_endpoint({}, insecure=False)
    assert not check_endpoint({"AWS_ENDPOINT_URL": "https://s3.example.org"}, insecure=False)
    for here in ("http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"):
        assert check_endpoint({"AWS_ENDPOINT_URL": here}, insecure=False)
    elsewhere = {"AWS_ENDPOINT_URL_S3": "http://minio:9000", "AWS_ENDPOINT_URL": "https://a"}
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_S3 has an address without TLS"):
        check_endpoint(elsewhere, insecure=False)
    assert check_endpoint(elsewhere, insecure=True)
    assert check_endpoint(elsewhere | {"AWS_ALLOW_HTTP": "true"}, insecure=False)


def test_without_the_extra_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed obstore is told how to."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setattr(store, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"batchjobs\[s3\]"):
        open_store(Address("a"), seconds=1.0)


def test_a_setting_that_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own settings are in the environment, where they are looked for."""
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "perhaps")
    with pytest.raises(ConfigurationError, match="cannot use s3://a"):
        open_store(Address("a"), seconds=1.0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_endpoint_with_a_password_is_refused(scheme: str) -> None:
    """The library's messages show its whole address; ours do not show what stood in it."""
    environment = {"AWS_ENDPOINT_URL": f"{scheme}://who:hidden@127.0.0.1:9"}
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL has a name") as refused:
        check_endpoint(environment, insecure=True)
    assert "hidden" not in str(refused.value)
