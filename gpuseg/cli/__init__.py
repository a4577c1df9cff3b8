"""The `gpuseg` command: one line for every mistake, an exit code for every outcome."""

import errno
import os
import re
import sys
import traceback

import typer

from gpuseg.cli import console
from gpuseg.cli.signals import Terminated, heeded
from gpuseg.errors import ConfigError, GpusegError

# Whatever carries click inside typer, its usage errors share this base.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : list of str, optional
        Words after `gpuseg`; those of the process by default.

    Returns
    -------
    int
        0 done · 1 a gate failed · 2 usage or configuration · 3 bad data · 4 resources or hardware · 5 integrity ·
        130 interrupted · 143 terminated.
    """
    words = console.take_global_flags(list(sys.argv[1:] if arguments is None else arguments))
    try:
        with heeded(), console.logged():
            return _run(words)
    except GpusegError as error:
        if console.settings.debug:
            traceback.print_exc()
        console.fail(error.code, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        console.fail("interrupted", "interrupted; what was committed is kept")
        return _INTERRUPTED
    except Terminated:
        console.fail("terminated", "terminated; what was committed is kept")
        return 143
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EPIPE):
            raise
        # What is still buffered has nowhere to go; a reader that has seen enough is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return 0
        console.fail("output", f"stdout cannot be written: {error.strerror}")
        return 4


def _run(words: list[str]) -> int:
    from gpuseg.cli.app import app

    command = typer.main.get_command(app)
    try:
        result = command.main(args=words or ["--help"], prog_name="gpuseg", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:
        # Typer exits with 1 where the reader of stdout has gone, and then holds stdout back.
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":
            return 0
        return ended.code if isinstance(ended.code, int) else 1
    except _USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return _run([*words, "--help"])
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        given = _given(words, message)
        raise ConfigError(f"{' '.join(message.split()).rstrip('.')}{given}; see `gpuseg --help`") from None
    if result == _INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _given(words: list[str], message: str) -> str:
    """The value that an option was given, for a message that names only the option."""
    named = re.search(r"'(--[a-z-]+)'", message)
    if named is None or named[1] not in words[:-1]:
        return ""
    return f" (given: {words[words.index(named[1]) + 1]!r})"
