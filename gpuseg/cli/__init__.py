"""The `gpuseg` command: one line for every mistake, an exit code for every outcome."""

import signal
import sys
from types import FrameType

import typer

from gpuseg.cli import console
from gpuseg.errors import ConfigError, GpusegError

# Whatever carries click inside typer, its usage errors share this base.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


class _Terminated(BaseException):
    """SIGTERM arrived."""


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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(words)
    except GpusegError as error:
        if console.settings.debug:
            raise
        console.fail(error.code, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        console.fail("interrupted", "interrupted; what was committed is kept")
        return 130
    except _Terminated:
        console.fail("terminated", "terminated; what was committed is kept")
        return 143
    except BrokenPipeError:
        return 0


def _run(words: list[str]) -> int:
    from gpuseg.cli.app import app

    command = typer.main.get_command(app)
    try:
        result = command.main(args=words, prog_name="gpuseg", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _USAGE_ERROR as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        raise ConfigError(f"{' '.join(message.split()).rstrip('.')}; see `gpuseg --help`") from None
    return result if isinstance(result, int) else 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated
