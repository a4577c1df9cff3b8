"""Scratch folders of dask: none is left by a process that ends, nor, after the next one, by one that was killed."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from gpuseg.engine.dask.scratch import PREFIX, own_scratch, remove_ownerless
from tests.resume.clusters import ENVIRONMENT

KILLED = """\
import os, signal
from pathlib import Path
from gpuseg.engine.dask.scratch import own_scratch
with own_scratch() as folder:
    (Path(folder) / "dask-scratch-space").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def orphan(place):
    """The folder of a process that was killed."""
    ended = subprocess.run([sys.executable, "-c", KILLED], env=ENVIRONMENT | {"TMPDIR": str(place)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    (folder,) = place.iterdir()
    assert (folder / "dask-scratch-space").is_dir()
    return folder


def test_nothing_is_left(place):
    with own_scratch() as folder:
        assert os.listdir(place) == [os.path.basename(folder)]  # noqa: PTH119, PTH208
    assert list(place.iterdir()) == []


def test_the_next_one_removes_what_a_killed_one_left(place, orphan):
    with own_scratch():
        assert not orphan.exists()
    assert list(place.iterdir()) == []


def test_the_folder_of_a_living_process_stays(place):
    with own_scratch() as first, own_scratch() as second:
        assert sorted(str(path) for path in place.iterdir()) == sorted([first, second])


def test_the_folder_of_another_machine_stays(place, orphan, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    remove_ownerless(place)
    assert orphan.is_dir()


def test_the_folder_of_another_user_stays(place, orphan, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    remove_ownerless(place)
    assert orphan.is_dir()


def test_what_only_looks_like_one_stays(place, orphan):
    """A folder that says nothing of an owner, a link to one that does, and a file."""
    (place / f"{PREFIX}empty").mkdir()
    elsewhere = place / "elsewhere"
    orphan.rename(elsewhere)
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    (place / f"{PREFIX}file").touch()
    remove_ownerless(place)
    assert len(list(place.iterdir())) == 4
    assert (elsewhere / "dask-scratch-space").is_dir()
