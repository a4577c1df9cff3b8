"""Sources in Google Cloud Storage and Azure: their emulators on loopback, through gcsfs and adlfs."""

import http.server
import logging
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from gpuseg.errors import EmptyDataError, IntegrityError, SourceUnavailableError
from gpuseg.pipeline import execute
from gpuseg.sources.locate import check_unchanged
from gpuseg.sources.plan import plan_sources
from tests.sources.stores.worlds import configured, contents, shop

# The account that every Azurite has; its key is printed in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SERVICES = Path(__file__).parents[3] / ".services" / "node_modules" / ".bin"
ROWS = b"profile_id,at,amount\na,2017-01-01,1\n"


@dataclass
class Cloud:
    """A bucket or container of one test's own, and how the environment leads to a server on a port."""

    root: str
    lead_to: Callable[[int], None]

    def put(self, name: str, content: bytes) -> str:
        system, path = fsspec.core.url_to_fs(f"{self.root}/{name}")
        system.pipe(path, content)
        return f"{self.root}/{name}"


@pytest.fixture(scope="session")
def google_port() -> Iterator[int]:
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
    pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    logging.getLogger("gcp-storage-emulator").setLevel(logging.ERROR)
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True)
    with pytest.MonkeyPatch.context() as patch:
        # One connection that is kept open must not keep all others out.
        patch.setattr(http.server, "HTTPServer", http.server.ThreadingHTTPServer)
        server.start()
    yield port
    server.stop()


@pytest.fixture(scope="session")
def azure_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    pytest.importorskip("adlfs", reason="adlfs is not installed")
    program = shutil.which("azurite-blob", path=f"{SERVICES}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        assert os.environ.get("GPUSEG_REQUIRE_AZURITE") != "1", "GPUSEG_REQUIRE_AZURITE=1, but there is no azurite-blob"
        pytest.skip("needs azurite-blob on the PATH, or installed by `make services`")
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck"]
    folder = tmp_path_factory.mktemp("azurite")
    running = subprocess.Popen(
        [program, *options, "--disableTelemetry", "--location", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        assert any("successfully listen" in line for line in running.stdout), "azurite-blob ended"
        yield port
    finally:
        running.terminate()
        running.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(params=["gs", "abfs"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    name = f"shop-{uuid.uuid4().hex[:12]}"

    def google(port: int) -> None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        fsspec.get_filesystem_class("gs").clear_instance_cache()

    def azure(port: int) -> None:
        place = f"DefaultEndpointsProtocol=http;BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        secret = f"AccountName={ACCOUNT};AccountKey={KEY};"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", place + secret)
        fsspec.get_filesystem_class("abfs").clear_instance_cache()

    port = request.getfixturevalue("google_port" if request.param == "gs" else "azure_port")
    lead_to = google if request.param == "gs" else azure
    lead_to(port)
    fsspec.filesystem(request.param).mkdir(name)
    yield Cloud(f"{request.param}://{name}", lead_to)
    fsspec.get_filesystem_class(request.param).clear_instance_cache()


def plans_at(uri: str, config_of: Callable[..., Any]) -> Any:
    return plan_sources(config_of({"name": "orders", "kind": "purchases", "uri": uri}))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_same_bytes_come_of_a_cloud_as_of_local_files(
    tmp_path: Path, cloud: Cloud, config_of: Callable[..., Any], kind: str, from_local_files: dict[str, bytes]
) -> None:
    for name, content in shop(kind).items():
        cloud.put(f"in/{name}", content)
    version = execute(configured(f"{cloud.root}/in", kind, config_of, tmp_path / "run"), until="features").version
    assert contents(version) == from_local_files


@pytest.mark.parametrize("name", ["none.csv", "none*.csv", "deep/*/none.csv"])
def test_what_is_not_there(cloud: Cloud, config_of: Callable[..., Any], name: str) -> None:
    cloud.put("other.csv", ROWS)
    for uri in (f"{cloud.root}/{name}", f"{cloud.root}-not/{name}"):
        with pytest.raises(EmptyDataError, match=r"^orders: no file matches '[^']*none[^']*csv'$"):
            plans_at(uri, config_of)


def test_a_blob_that_was_replaced(cloud: Cloud, config_of: Callable[..., Any]) -> None:
    url = cloud.put("a.csv", ROWS)
    located = plans_at(f"{cloud.root}/*.csv", config_of).located
    check_unchanged(located)
    cloud.put("a.csv", ROWS.replace(b",1", b",2"))
    with pytest.raises(IntegrityError) as caught:
        check_unchanged(located)
    assert str(caught.value) == f"orders: {url} changed while it was read; run again"


@pytest.mark.slow
def test_an_endpoint_where_nobody_listens(
    cloud: Cloud, config_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cloud.put("a.csv", ROWS)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        cloud.lead_to(taken.getsockname()[1])
        with pytest.raises(SourceUnavailableError) as caught:
            plans_at(url, config_of)
    assert str(caught.value).startswith(f"orders: {url}: ")
    assert KEY not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
