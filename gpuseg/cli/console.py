"""What the command line shows: results on stdout, progress and errors on stderr."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from gpuseg.progress import Progress


@dataclass
class Settings:
    """Global flags of this process."""

    json: bool = False
    verbose: bool = False
    debug: bool = False


settings = Settings()


def take_global_flags(words: list[str]) -> list[str]:
    """Take `--json`, `-v` and `--debug` out of the words, wherever they stand before `--`."""
    settings.json = settings.verbose = settings.debug = False
    end = words.index("--") if "--" in words else len(words)
    rest = []
    for word in words[:end]:
        if word == "--json":
            settings.json = True
        elif word in ("-v", "--verbose"):
            settings.verbose = True
        elif word == "--debug":
            settings.debug = True
        else:
            rest.append(word)
    return rest + words[end:]


def show(text: str, content: dict[str, Any]) -> None:
    """Print a result: the text for people, or the JSON object under `--json`."""
    print(json.dumps(content, ensure_ascii=False) if settings.json else text)


def note(text: str) -> None:
    """A remark on stderr."""
    print(f"gpuseg: {text}", file=sys.stderr)


@contextmanager
def logged() -> Iterator[None]:
    """Show what gpuseg logs as a warning in lines like all others."""
    logger, handler = logging.getLogger("gpuseg"), _Notes(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.levelname.lower()}: {record.getMessage()}")


def fail(code: str, message: str) -> None:
    """The one line of an error, and its JSON object under `--json`."""
    line = " ".join(message.split())
    print(f"gpuseg: error[{code}] {line}", file=sys.stderr)
    if settings.json:
        print(json.dumps({"ok": False, "error": {"code": code, "message": line}}, ensure_ascii=False))


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar on a terminal, lines with `-v`, else nothing."""
    from gpuseg.cli.watching import Bars, Lines

    if sys.stderr.isatty():
        with closing(Bars(note)) as bars:
            yield bars
    else:
        yield Lines(note) if settings.verbose else Progress()
