"""Everything that a machine with a GPU is needed for, in one go of at most 20 minutes.

`python bench/gpu_session.py FOLDER` looks at the machine, makes the smoke test, measures the kernels and the candidate
for group-bys, runs the tests of the GPU device, in this process and in that of a dask worker, and measures it against
the CPU. The output of each step goes to FOLDER; a step that fails or takes too long keeps no other from running.
`--rehearse` goes through the same steps on the CPU, with little data and few tests.
"""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import script

from gpuseg.engine.hardware import find_gpus

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TEST_WORKERS = 4
"""Processes that share the GPU in the tests."""

TOO_LONG, NOT_STARTED = 124, 127


@dataclass(frozen=True)
class Step:
    """One command.

    Parameters
    ----------
    name : str
    command : tuple of str
    most_seconds : int
    needs_gpu : bool
        Whether a rehearsal expects it to fail where there is no GPU.
    """

    name: str
    command: tuple[str, ...]
    most_seconds: int
    needs_gpu: bool = False


def steps(out: Path, *, rehearse: bool) -> list[Step]:
    """The steps in the order of their worth."""
    python = sys.executable
    # Names are told as tests end, so that a run that takes too long has said something.
    pytest = [python, "-m", "pytest", "-v", "--tb=short", "--durations=15", "-p", "no:cacheprovider"]
    # One cluster, whose worker has the GPU for itself.
    dask = [*pytest, "--executor=dask", "tests/devices"]
    if find_spec("xdist") is not None:
        pytest += ["-n", str(TEST_WORKERS)]
    bench = [python, str(HERE / "cpu_vs_gpu.py"), "--out", str(out / "cpu_vs_gpu.json")]
    if not rehearse:
        bench += ["--devices", "cpu,gpu"]
    kernels = [python, str(HERE / "gpu_kernels.py"), "--out", str(out / "gpu_kernels.json")]
    group_by = [python, str(HERE / "gpu_group_by.py"), "--out", str(out / "gpu_group_by.json")]
    if rehearse:
        tests = [
            *pytest,
            "--devices=cpu,gpu-logic",
            "tests/engine/test_hash_ids.py",
            "tests/engine/test_assign_accumulate.py",
            "tests/engine/test_matrix.py",
        ]
        dask += ["--devices=cpu,gpu-logic", "-m", "not gpu"]
        bench += ["--small", "--cases", "kmeans,scoring,hdbscan"]
        kernels.append("--rehearse")
        group_by.append("--rehearse")
    else:
        # Those on the CPU need no GPU and run elsewhere.
        tests = [*pytest, "--devices=cpu,gpu", "-m", "gpu and not slow"]
        dask += ["--devices=cpu,gpu", "-m", "gpu and not slow"]
        bench += ["--repeats", "1", "--cpu-hdbscan-most", "20000"]
        # The case that has begun by then ends in 30 seconds, or is ended.
        kernels += ["--most-seconds", "380"]
        group_by += ["--most-seconds", "90"]
    return [
        Step("doctor", (python, "-m", "gpuseg", "--json", "doctor"), 60),
        Step("smoke", (python, str(HERE / "gpu_smoke.py")), 120, needs_gpu=True),
        Step("kernels", tuple(kernels), 420),
        Step("group-by", tuple(group_by), 110),
        Step("test-gpu", tuple(tests), 300),
        Step("test-dask", tuple(dask), 120),
        # What the others leave of the time of all.
        Step("cpu-vs-gpu", tuple(bench), 480),
    ]


def run_step(step: Step, out: Path, place: int, seconds: float, *, rehearse: bool) -> dict[str, Any]:
    """Run one step for at most so many seconds, and say how it ended."""
    log = out / f"{place}-{step.name}.txt"
    environment = os.environ | ({} if rehearse else {"GPUSEG_REQUIRE_GPU": "1"})
    begun = time.perf_counter()
    with log.open("wb") as output:
        try:
            code = _finished(step.command, output, environment, max(seconds, 0))
        except OSError as error:
            output.write(f"{error}\n".encode())
            code = NOT_STARTED
    return {
        "step": step.name,
        "command": ["python", *(word.removeprefix(f"{ROOT}/") for word in step.command[1:])],
        "exit": code,
        "seconds": round(time.perf_counter() - begun, 1),
        "log": log.name,
    }


def _finished(command: Sequence[str], output: IO[bytes], environment: Mapping[str, str], seconds: float) -> int:
    """Exit code of a command; after so many seconds it is ended with all that it started."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return TOO_LONG


def main(arguments: Sequence[str] | None = None) -> int:
    parser = script.Parser("gpu_session", "Run all that needs a GPU.")
    parser.add_argument("out", type=Path, help="folder for the output of each step")
    parser.add_argument("--minutes", type=script.positive, default=20.0, help="most minutes for all steps together")
    parser.add_argument("--rehearse", action="store_true", help="the same steps on the CPU, small")
    options = parser.parse_args(arguments)
    found = find_gpus()
    if not options.rehearse and not found.usable:
        print(f"gpu_session: error: {found.problem}", file=sys.stderr)
        return 1
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    end = time.perf_counter() + options.minutes * 60
    told: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "rehearsal": options.rehearse,
        "steps": [],
    }
    failed = 0
    for place, step in enumerate(steps(out, rehearse=options.rehearse), start=1):
        seconds = min(step.most_seconds, end - time.perf_counter())
        print(f"gpu_session: {step.name} …", file=sys.stderr, flush=True)
        found = run_step(step, out, place, seconds, rehearse=options.rehearse)
        told["steps"].append(found)
        (out / "session.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        ending = {0: "ok", TOO_LONG: "took too long"}.get(found["exit"], f"exit {found['exit']}")
        expected = options.rehearse and step.needs_gpu
        failed += found["exit"] != 0 and not expected
        print(f"{step.name:12} {found['seconds']:7.1f} s  {ending}{' (needs a GPU)' if expected else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
