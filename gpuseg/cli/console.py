"""What the command line shows: results on stdout, progress and errors on stderr."""

import json
import sys
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


def fail(code: str, message: str) -> None:
    """The one line of an error, and its JSON object under `--json`."""
    line = " ".join(message.split())
    print(f"gpuseg: error[{code}] {line}", file=sys.stderr)
    if settings.json:
        print(json.dumps({"ok": False, "error": {"code": code, "message": line}}, ensure_ascii=False))


def progress() -> Progress:
    """A bar on a terminal, a line a stage with `-v`, else nothing."""
    if sys.stderr.isatty():
        return _Bars()
    return _Lines() if settings.verbose else Progress()


class _Lines(Progress):
    """One line for each committed stage, and for what takes long."""

    def advance(self, step: str, n: int) -> None:
        if not n:
            note(step)

    def finish(self, stage: str, seconds: float, *, reused: bool) -> None:
        note(f"{stage}: {'taken as committed' if reused else f'{seconds:.1f} s'}")


class _Bars(Progress):
    """A rich progress display on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Display

        self._display = Display(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._rows = 0
        self._n_buckets = 1

    def start(self, stage: str, n_buckets: int) -> None:
        self._display.start()
        self._rows = 0
        self._n_buckets = n_buckets
        self._task = self._display.add_task(stage, total=None, done="")

    def advance(self, step: str, n: int) -> None:
        if not n:
            self._display.update(self._task, done=step)
        elif step == "read":
            self._rows += n
            self._display.update(self._task, done=f"{self._rows:,} rows")
        elif step == "fit":
            self._display.update(self._task, advance=n, done="passes over all profiles")
        else:
            self._display.update(self._task, total=self._n_buckets, advance=n, done=f"{step} buckets")

    def finish(self, stage: str, seconds: float, *, reused: bool) -> None:
        if self._task is not None:
            self._display.remove_task(self._task)
            self._display.stop()
            self._task = None
        note(f"{stage}: {'taken as committed' if reused else f'{seconds:.1f} s'}")
