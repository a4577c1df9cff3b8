"""What only a process of its own can show: signals, closed pipes, the module as a command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpuseg as package

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}

# Sends its own process a signal at the n-th call of one function.
INTERRUPT = """\
import os, signal, sys
from importlib import import_module
# Whoever starts the tests may have interrupts ignored, as shells do for what runs in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
number, place, nth, *words = sys.argv[1:]
module, _, name = place.partition(":")
owner = import_module(module)
*parents, last = name.split(".")
for parent in parents:
    owner = getattr(owner, parent)
original, left = getattr(owner, last), [int(nth)]
def interrupt(*arguments, **options):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), int(number))
    return original(*arguments, **options)
setattr(owner, last, interrupt)
from gpuseg.cli import main
sys.exit(main(words))
"""


def python(*words, **options):
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize(
    ("place", "nth", "kept"),
    [
        ("gpuseg.engine.spill:RunWriter.append", 4, []),
        ("gpuseg.clustering.kmeans:_pass", 5, ["features.json", "validate.json"]),
    ],
    ids=["reading", "fitting"],
)
def test_a_signal_ends_a_run_cleanly(shop, gpuseg, number, code, word, place, nth, kept):
    shop.config["run"]["chunk_rows"] = 20
    shop.config["cluster"]["segments"] = "auto"
    config = shop.write()
    before = shop.tree()
    ended = python("-c", INTERRUPT, number, place, nth, "--json", "run", config)
    assert ended.returncode == code, ended.stderr
    assert ended.stderr == f"gpuseg: error[{word}] {word}; what was committed is kept\n"
    assert json.loads(ended.stdout) == {
        "ok": False,
        "error": {"code": word, "message": f"{word}; what was committed is kept"},
    }
    after = shop.tree()
    assert {name: content for name, content in after.items() if name in before} == before
    new = [name for name in after if name not in before]
    assert not [name for name in new if ".work" in name or name.endswith(".tmp")]
    assert sorted(name.rpartition("/")[2] for name in new if "/.stages/" in name) == kept
    assert bool(new) is bool(kept)
    assert gpuseg("verify", shop.out).code == 0
    resumed = gpuseg("--json", "run", config, "--resume")
    # What the version had not committed itself is taken over from the last one.
    assert resumed.content["executed"] == ["fit", "assign", "explain", "report"]
    assert gpuseg("verify", shop.out).code == 0


def test_the_module_is_the_command(copied):
    told = python("-m", "gpuseg", "verify", copied.out)
    assert (told.returncode, told.stderr) == (0, "")
    assert re.fullmatch(r"v0001: [0-9]+ files are as they were committed\n", told.stdout)
    failed = python("-m", "gpuseg", "verify", copied.folder)
    assert (failed.returncode, failed.stdout) == (5, "")
    assert re.fullmatch(r"gpuseg: error\[integrity\] .+\n", failed.stderr)


def test_debug_prints_a_traceback(copied):
    told = python("-m", "gpuseg", "--debug", "verify", copied.folder)
    assert told.returncode == 5
    assert "Traceback" in told.stderr
    assert "IntegrityError" in told.stderr


def test_a_reader_that_stops_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "gpuseg", "config", "schema"]
        told = subprocess.run(command, env=ENVIRONMENT, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert told.stderr == b""
    assert told.returncode == 0


def test_output_is_utf8_whatever_the_locale(copied, gpuseg):
    copied.csv((copied.folder / "orders.csv").read_bytes().replace(b"Garden", "Gärten🌱".encode()))
    assert gpuseg("run", copied.write()).code == 0
    environment = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    command = [sys.executable, "-m", "gpuseg", "--json", "describe", str(copied.out)]
    told = subprocess.run(command, env=environment | {"LC_ALL": "C"}, capture_output=True, check=False)
    assert (told.returncode, told.stderr) == (0, b"")
    assert "share_Gärten🌱" in told.stdout.decode("utf-8")


# A signal arrives while a destructor runs, whose errors the interpreter only tells.
DROPPED = """\
import os, signal, sys
from gpuseg.cli import main
from gpuseg import pipeline
signal.signal(signal.SIGINT, signal.default_int_handler)
class Dying:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(10**6):
            pass
original = pipeline.Ledger.close
def close(self):
    original(self)
    Dying()
    for _ in range(10**9):
        pass
pipeline.Ledger.close = close
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_a_signal_that_the_interpreter_would_drop_ends_a_run(copied, number, code, word):
    ended = python("-c", DROPPED, number, "run", copied.write(), timeout=60)
    assert (ended.returncode, ended.stderr) == (code, f"gpuseg: error[{word}] {word}; what was committed is kept\n")
