"""A real S3 server on loopback (moto), once a session, behind a proxy of each test's own."""

import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuseg.pipeline import execute
from tests.sources.stores.faults import Proxy, proxy_of
from tests.sources.stores.worlds import IDS, configured, contents, shop

SECRET = "Xanthippe7355608"


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield running.get_host_and_port()[1]
    running.stop()


class Store:
    """A bucket of one test's own: `put` fills it behind the back of the library under test."""

    def __init__(self, proxy: Proxy, client: Any) -> None:
        self.proxy = proxy
        self.bucket = f"shop-{uuid.uuid4().hex[:12]}"
        self._client = client
        client.create_bucket(Bucket=self.bucket)

    def put(self, key: str, content: bytes) -> str:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.url(key)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"


@pytest.fixture(scope="session")
def s3_proxy(s3_port: int) -> Iterator[Proxy]:
    with proxy_of(s3_port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def s3_client(s3_port: int) -> Any:
    """A way to the server that is not the one under test."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{s3_port}",
        region_name="us-east-1",
        aws_access_key_id="owner",
        aws_secret_access_key="owner",
    )


@pytest.fixture
def store(
    s3_proxy: Proxy, s3_client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """An S3 server that the environment alone leads to."""
    nothing = str(tmp_path_factory.getbasetemp() / "no-such-file")
    for name, value in {
        "AWS_ENDPOINT_URL": s3_proxy.url,
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3_proxy.reset()
    return Store(s3_proxy, s3_client)


@pytest.fixture
def new_file_systems(store: Store) -> Iterator[None]:
    """For tests that change the environment: file systems are kept by their arguments, whatever it says."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def from_local_files(tmp_path_factory: pytest.TempPathFactory, config_of: Callable[..., Any]) -> dict[str, bytes]:
    """Files of `state/` and `features/` that the shop gives in local files."""
    folder = tmp_path_factory.mktemp("local")
    for name, content in shop("parquet").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    version = execute(configured(folder, "parquet", config_of, folder / "run"), until="features").version
    profiles = pa.concat_tables([pq.read_table(path) for path in (version.path / "features").glob("*.parquet")])
    assert sorted(profiles["profile_id"].to_pylist()) == sorted(f"C-{name}" for name in IDS[:5])
    return contents(version)
