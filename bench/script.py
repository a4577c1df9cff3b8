"""What the scripts that measure share: options, a scratch folder, and how results are put down. Linux only."""

import argparse
import datetime as dt
import errno
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from measure import BenchmarkError, hardware, versions

RESULTS = Path(__file__).resolve().parent / "results"
_PATHS = {"--scratch", "--out", "--data", "--docs"}


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every script has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--scratch", type=Path, help="folder for temporary files; default the system's")
    made.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    return made


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
