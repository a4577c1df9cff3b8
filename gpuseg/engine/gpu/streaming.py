"""Rows of host memory on their way through the device: one piece is copied while another is worked on.

Copies go through two buffers of pinned memory, which the device reads by itself, on a stream of their own. Not yet run
on a GPU.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gpuseg.engine.gpu.libraries import Libraries

Part = TypeVar("Part")

PIECE_BYTES = 2**27
_WHOLE_ROWS = 65_536
"""Pieces begin where inertia is added up anew, so that its bits do not depend on them."""

_COPYING_THREADS = 4
_BUFFERS = 2


def piece_rows(rows: npt.NDArray[Any]) -> int:
    """Rows of a piece."""
    row_bytes = max(rows.nbytes // max(len(rows), 1), 1)
    return max(PIECE_BYTES // row_bytes // _WHOLE_ROWS, 1) * _WHOLE_ROWS


def streamed(libraries: Libraries, rows: npt.NDArray[Any], function: Callable[[Any, int], Part]) -> Iterator[Part]:
    """Results of `function(piece on the device, its first row)`, in order.

    Parameters
    ----------
    libraries : Libraries
    rows : array in host memory, C-ordered, shape (n_rows, n_features)
    function : callable
        Done with the piece, whose memory is used again, once what it launched on the current stream is done.
    """
    cuda, size = libraries.cupy.cuda, piece_rows(rows)
    starts = range(0, len(rows), size)
    shape = min(size, len(rows)), rows.shape[1]
    pinned = [_pinned(cuda, shape, rows.dtype) for _ in range(_BUFFERS)]
    # What allocates may order memory by the current stream.
    on_device = [libraries.cupy.empty(shape, rows.dtype) for _ in range(_BUFFERS)]
    working, copying = cuda.get_current_stream(), cuda.Stream(non_blocking=True)
    copied, done = ([cuda.Event(disable_timing=True) for _ in range(_BUFFERS)] for _ in range(2))
    for event in done:
        event.record(working)

    def send(number: int) -> None:
        piece, buffer = rows[starts[number] : starts[number] + size], number % _BUFFERS
        copied[buffer].synchronize()
        _copy(pool, piece, pinned[buffer])
        copying.wait_event(done[buffer])
        on_device[buffer][: len(piece)].set(pinned[buffer][: len(piece)], stream=copying)
        copied[buffer].record(copying)

    for event in copied:
        event.record(copying)
    try:
        with ThreadPoolExecutor(_COPYING_THREADS) as pool:
            send(0)
            for number, start in enumerate(starts):
                if number + 1 < len(starts):
                    send(number + 1)
                buffer = number % _BUFFERS
                working.wait_event(copied[buffer])
                yield function(on_device[buffer][: min(size, len(rows) - start)], start)
                done[buffer].record(working)
    finally:
        # Memory is not given back while something is written there.
        copying.synchronize()


def _pinned(cuda: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array in memory that the device can read by itself."""
    n = shape[0] * shape[1]
    return np.frombuffer(cuda.alloc_pinned_memory(n * dtype.itemsize), dtype, n).reshape(shape)


def _copy(pool: ThreadPoolExecutor, piece: npt.NDArray[Any], to: npt.NDArray[Any]) -> None:
    """Copy by several threads: one alone is slower than the device reads."""
    edges = np.linspace(0, len(piece), _COPYING_THREADS + 1).astype(int)
    parts = [pool.submit(np.copyto, to[low:high], piece[low:high]) for low, high in pairwise(edges)]
    for part in parts:
        part.result()
