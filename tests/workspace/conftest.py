import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shop import Command, Shop, command_line, committed_shop


@pytest.fixture
def gpuseg(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    with command_line(capsys) as run:
        yield run


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A good version, made once; take `shop` to change anything."""
    return committed_shop(tmp_path_factory.mktemp("committed"))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A good version of one's own; a copy would not do, since moved data makes every stage run again."""
    (tmp_path / "shop").mkdir()
    return committed_shop(tmp_path / "shop")


@pytest.fixture
def copied(committed: Shop, tmp_path: Path) -> Shop:
    """A copy of the good version, quicker to have, for what only looks at it or makes every stage anew."""
    folder = tmp_path / "copy"
    shutil.copytree(committed.folder, folder)
    return Shop(folder, committed.copy_config())
