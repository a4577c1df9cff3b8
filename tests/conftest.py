"""What tests share: devices, hypothesis profiles, ready-made engines, configurations, plans, and a committed run."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.cli.shop import Command, Shop

# Test modules import `tests.twins` under any import mode and from any folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
pytest.register_assert_rewrite("tests.twins")

# gcsfs reads this at its first import: buckets of newer kinds are asked for by gRPC, which the emulator lacks.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    known = "cpu, gpu, or gpu-logic: the GPU's code with pandas and NumPy standing in for RAPIDS"
    spread = "how the engines of the `device` fixture spread work; dask has one worker, with the device as its own"
    parser.addoption("--executor", default="local", choices=("local", "dask"), help=spread)
    parser.addoption("--devices", default="cpu", help=f"devices of the `device` fixture, such as cpu,gpu ({known})")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device_name" not in metafunc.fixturenames:
        return
    given = [name.strip() for name in metafunc.config.getoption("--devices").split(",") if name.strip()]
    unknown = sorted(set(given) - {"cpu", "gpu", "gpu-logic"})
    if unknown:
        raise pytest.UsageError(f"--devices: {unknown[0]!r} is no device; there are cpu, gpu and gpu-logic")
    # A module of tests may be about some devices, whatever is asked for.
    names = getattr(metafunc.module, "DEVICES", given)
    params = [pytest.param(name, marks=pytest.mark.gpu if name == "gpu" else ()) for name in names]
    metafunc.parametrize("device_name", params, scope="session")


@pytest.fixture(scope="session")
def engine(device_name: str, pytestconfig: pytest.Config) -> Iterator[Any]:
    """An engine on each device of `--devices`, with `--executor`.

    Without a usable GPU its tests are skipped, or fail where one is required.
    """
    from gpuseg.config_dask import DaskSection
    from gpuseg.engine import open_engine
    from gpuseg.errors import DeviceUnavailableError

    executor = pytestconfig.getoption("--executor")
    if device_name == "gpu-logic":
        with _stand_in_engine(executor) as found:
            yield found
        return
    opened = open_engine(engine=device_name, executor=executor, dask=DaskSection(workers=1))
    try:
        found = opened.__enter__()
    except DeviceUnavailableError as error:
        if os.environ.get("GPUSEG_REQUIRE_GPU") == "1":
            pytest.fail(f"GPUSEG_REQUIRE_GPU=1, but {error}", pytrace=False)
        pytest.skip(str(error))
    try:
        yield found
    finally:
        opened.__exit__(None, None, None)


@contextmanager
def _stand_in_engine(executor: str) -> Iterator[Any]:
    from gpuseg.engine import Engine
    from gpuseg.engine.gpu.device import GpuDevice
    from gpuseg.engine.local import LocalExecutor
    from tests.rapids.stand_ins import stand_ins

    libraries, threads = stand_ins(), LocalExecutor()
    device, reason = GpuDevice(libraries), "gpu: stand-ins, no GPU"
    try:
        if executor == "local":
            yield Engine(device, threads, reason, threads)
            return
        from gpuseg.engine.dask.executor import DaskExecutor
        from tests.rapids.played_cluster import played_cluster

        with played_cluster(libraries, n_workers=1) as client:
            yield Engine(device, DaskExecutor(client, lambda: None), reason, threads)
    finally:
        threads.close()


@pytest.fixture(scope="session")
def device(engine: Any) -> Any:
    """A device; every test that takes it runs once a device of `--devices`."""
    return engine.device


@pytest.fixture(scope="session")
def config_of() -> Callable[..., Any]:
    """Builds a configuration from sources, options of `run`, and whole sections."""
    from gpuseg.config import parse_config

    def build(*sources: Mapping[str, Any], sections: Mapping[str, Any] | None = None, **run: Any) -> Any:
        run = {"out": "never-written", "as_of": "2018-01-01", **run}
        return parse_config({"run": run, "sources": [dict(source) for source in sources], **(sections or {})})

    return build


@pytest.fixture(scope="session")
def plan_of(config_of: Callable[..., Any]) -> Callable[..., Any]:
    """Builds the reading plan of one source from a frame, or from a `uri` where the frame is None."""
    from gpuseg.sources.plan import plan_sources

    def build(frame: Any = None, *, run: Mapping[str, Any] | None = None, **source: Any) -> Any:
        config = config_of({"name": "orders", "kind": "purchases", **source}, **(run or {}))
        return plan_sources(config, None if frame is None else {config.sources[0].name: frame}).reads[0]

    return build


@pytest.fixture(scope="session")
def scan(device: Any, plan_of: Callable[..., Any]) -> Callable[..., Any]:
    """Scans one source on the device: canonical columns as lists, and the tally."""
    from gpuseg.engine.program import Tally

    def read(frame: Any = None, **settings: Any) -> tuple[dict[str, list[Any]], Any]:
        columns: dict[str, list[Any]] = {}
        tally = Tally()
        for batch in device.scan(plan_of(frame, **settings)):
            rows, offsets = device.partition_to_host(batch, 1)
            assert list(offsets) == [0, rows.num_rows]
            tally.add(batch.tally)
            for name, column in zip(rows.schema.names, rows.columns, strict=True):
                columns.setdefault(name, []).extend(column.to_pylist())
        return columns, tally

    return read


@pytest.fixture(name="gpuseg")
def gpuseg_command(capsys: pytest.CaptureFixture[str]) -> "Iterator[Command]":
    """The command line in this process."""
    from tests.cli.shop import command_line

    with command_line(capsys) as run:
        yield run


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> "Shop":
    """A good version, made once; take `shop` to change anything."""
    from tests.cli.shop import committed_shop

    return committed_shop(tmp_path_factory.mktemp("committed"))


@pytest.fixture
def shop(tmp_path: Path) -> "Shop":
    """A good version of one's own; a copy would not do, since moved data makes every stage run again."""
    from tests.cli.shop import committed_shop

    (tmp_path / "shop").mkdir()
    return committed_shop(tmp_path / "shop")


@pytest.fixture
def copied(committed: "Shop", tmp_path: Path) -> "Shop":
    """A copy of the good version, quicker to have, for what only looks at it or makes every stage anew."""
    from tests.cli.shop import Shop

    folder = tmp_path / "copy"
    shutil.copytree(committed.folder, folder)
    return Shop(folder, committed.copy_config())
