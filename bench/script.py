"""What the scripts that measure share: options, a scratch folder, and how results are put down. Linux only."""

import argparse
import datetime as dt
import errno
import json
import math
import shlex
import signal
import sys
import tempfile
import zoneinfo
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from measure import BenchmarkError, hardware, versions

RESULTS = Path(__file__).resolve().parent / "results"
_PATHS = {"--scratch", "--out", "--data", "--docs"}
_MOST_SEED = 2**32 - 1
_Value = TypeVar("_Value")


class Parser(argparse.ArgumentParser):
    """Tells what is wrong with options in one line, and exits with 2.

    Parameters
    ----------
    name : str
        Of the script.
    description : str
    """

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"{name}.py", description=description)

    def error(self, message: str) -> NoReturn:
        """Print the line, and exit."""
        self.exit(2, f"{self.prog.removesuffix('.py')}: error: {' '.join(message.split())}\n")


def parser(name: str, description: str) -> Parser:
    """A parser with the options that every script that measures has."""
    made = Parser(name, description)
    made.add_argument("--scratch", type=Path, help="folder for temporary files; default the system's")
    made.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    return made


def whole(text: str) -> int:
    """A whole number of at least 1; like the other types of options, with an error that says what can be."""
    return _within(text, int, lambda number: number >= 1, "a whole number of at least 1")


def count(text: str) -> int:
    """A whole number of at least 0."""
    return _within(text, int, lambda number: number >= 0, "a whole number of at least 0")


def seed(text: str) -> int:
    """What all sides take as a seed."""
    return _within(text, int, lambda number: 0 <= number <= _MOST_SEED, f"a whole number from 0 to {_MOST_SEED}")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _within(text, float, lambda number: number > 0 and math.isfinite(number), "a finite number above 0")


def date(text: str) -> dt.date:
    """A day with a year of history before it, as purchases need."""
    first, last = dt.date(1971, 1, 1), dt.date(2200, 1, 1)
    return _within(text, dt.date.fromisoformat, lambda day: first <= day <= last, f"a date from {first} to {last}")


def zone(text: str) -> str:
    """Name of a time zone."""
    return _within(text, lambda name: zoneinfo.ZoneInfo(name).key, bool, "a time zone such as America/New_York")


def _within(text: str, read: Callable[[str], _Value], fits: Callable[[_Value], bool], what: str) -> _Value:
    with suppress(ValueError, OSError, KeyError):
        value = read(text)
        if fits(value):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} must be {what}")


def circumstances() -> dict[str, Any]:
    """The command without the paths of this machine, when, where and with what it runs."""
    pairs = zip(("", *sys.argv[1:]), sys.argv[1:], strict=False)
    words = [word for before, word in pairs if before not in _PATHS and word.partition("=")[0] not in _PATHS]
    return {
        "command": shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words]),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(),
    }


def measured(name: str, options: argparse.Namespace, measure: Callable[[Path], dict[str, Any]]) -> bool:
    """Write what `measure` gives for an empty folder to `options.out`; False, and a line on stderr, where it cannot.

    The file is there whole or as it was. A signal to end kills what is measured and leaves nothing behind.
    """
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    part = options.out.with_name(f".{options.out.name}.part")
    try:
        if options.out.exists() and not options.out.is_file():
            raise FileExistsError(errno.EEXIST, "is no file", str(options.out))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        # Here, not after the measurement: it would be lost.
        part.write_text("", encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix=f"{name}-".replace("_", "-"), dir=options.scratch) as scratch:
            results = measure(Path(scratch))
        part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        part.replace(options.out)
    except BenchmarkError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return False
    except OSError as error:
        print(f"{name}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return False
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        with suppress(OSError):
            part.unlink()
        for number, handler in before.items():
            signal.signal(number, handler)
    return True


def shown(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[Path], dict[str, Any]],
    show: Callable[[Mapping[str, Any]], str],
) -> int:
    """`measured`, and what was written printed for people; the exit status."""
    if not measured(name, options, measure):
        return 1
    print(show(json.loads(options.out.read_text(encoding="utf-8"))))
    return 0


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def say(name: str, what: str) -> None:
    """Tell which step begins, on stderr."""
    print(f"{name}: {what} …", file=sys.stderr, flush=True)
