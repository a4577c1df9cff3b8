"""The batch scripts and the manifest, with a played cluster: what is called, and what an exit code leads to."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gpuseg as package
from gpuseg.config import read_config

BATCH = Path(__file__).parents[2] / "examples" / "batch"
SLURM = sorted(BATCH.glob("*.sbatch"))
KINDS = ("cpu", "gpu")
# Options of sbatch by its manual (22.05 and 25.05); the two of memory and GPUs are what the scripts compute with.
SBATCH = {"job-name", "nodes", "ntasks-per-node", "cpus-per-task", "gpus-per-node", "mem", "time", "requeue", "signal"}
SBATCH |= {"dependency", "open-mode", "output"}

PLAYED = {
    # The scheduler tells where it is and stays; a worker stays.
    "dask": 'echo "dask $*" >> "$LOG"; if [ "$1" = scheduler ]; then echo {} > "$3"; fi; exec sleep 1000',
    "srun": 'echo "srun $*" >> "$LOG"; while [ "$1" != dask ]; do shift; done; exec "$@"',
    "scontrol": 'echo "scontrol $*" >> "$LOG"',
    "gpuseg": """echo "gpuseg $*" >> "$LOG"
case $CODE in
    worker) until grep -q 'dask.* worker\\|dask worker' "$LOG"; do sleep 0.01; done ;;
    wait) ;;
    *) exit "$CODE" ;;
esac
echo ready > "$READY"
exec sleep 1000""",
}


@pytest.fixture
def played(tmp_path):
    """Run a command where dask, Slurm and gpuseg are played; gives the process and what was called."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, body in PLAYED.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin_ / name).chmod(0o755)
    (bin_ / "python").symlink_to(sys.executable)
    config = tmp_path / "gpuseg.yaml"
    config.write_text(
        "{version: 1, run: {name: s, out: run, as_of: 2026-01-01, executor: dask}, dask: {scheduler_file: where.json},"
        " sources: [{name: o, kind: purchases, uri: o.csv, columns: {profile_id: a, at: b, amount: c}}]}"
    )
    ready, log = tmp_path / "ready", tmp_path / "log"
    os.mkfifo(ready)
    environment = {
        "PATH": f"{bin_}:/usr/bin:/bin",
        "PYTHONPATH": str(Path(package.__file__).parents[1]),
        "LOG": str(log),
        "READY": str(ready),
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "4",
        "SLURM_GPUS_PER_NODE": "h100:2",
        "SLURM_MEM_PER_NODE": str(40 << 10),
    }

    def run(*command, code, terminate=False, **more):
        process = subprocess.Popen(
            [*map(str, command), str(config)],
            env=environment | {"CODE": str(code)} | more,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        if terminate:
            # The played run tells that it has begun.
            with ready.open() as told:
                told.read()
            process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
        assert not (tmp_path / "where.json").exists()
        return process.returncode, log.read_text().splitlines(), told

    return run


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
def test_shell_scripts_are_well_formed(script):
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", script], check=True)


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
def test_settings_for_sbatch(script):
    """They are read up to the first command only; what is computed with must be among them."""
    head, _, rest = script.read_text().partition("set -euo pipefail")
    assert "#SBATCH" not in rest
    given = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", head, re.MULTILINE))
    assert len(given) == head.count("#SBATCH ")
    assert set(given) <= SBATCH
    assert {"requeue", "cpus-per-task", "mem"} <= set(given)
    assert given["signal"].startswith("B:TERM@")
    for name in re.findall(r"SLURM_(?:MEM_PER_NODE|GPUS_PER_NODE|CPUS_PER_TASK)", rest):
        assert name.removeprefix("SLURM_").lower().replace("_", "-").replace("mem-per-node", "mem") in given


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("code", "restarts", "requeued"),
    [(0, "0", False), (6, "0", False), (3, "0", False), (4, "2", False), (143, "0", True), (143, "20", False)],
)
def test_only_a_preempted_run_is_requeued(played, script, code, restarts, requeued):
    ended, called, told = played("bash", script, code=code, SLURM_RESTART_COUNT=restarts)
    assert ended == code
    assert ("scontrol requeue 17" in called) is requeued
    assert ("preempted" in told) is (code == 143)
    assert sum(line.startswith("gpuseg -v run --resume") for line in called) == 1


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
def test_a_signal_reaches_the_run(played, script):
    ended, called, _ = played("bash", script, code="wait", terminate=True)
    assert ended == 143
    assert called[-1] == "scontrol requeue 17"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cpu", "dask worker --scheduler-file {} --no-dashboard --nworkers 4 --nthreads 1 --memory-limit 8192MiB"),
        ("gpu", "dask cuda worker --scheduler-file {} --no-dashboard --nthreads 1 --memory-limit 4096MiB"),
    ],
)
def test_memory_and_processes_of_workers(played, tmp_path, kind, words):
    called = played("bash", BATCH / f"slurm-{kind}.sbatch", code="worker", terminate=True)[1]
    (worker,) = [line for line in called if re.match("dask (cuda )?worker", line)]
    assert worker.startswith(words.format(tmp_path / "where.json") + " ")


def test_a_configuration_without_a_scheduler_file_is_refused(played, tmp_path):
    config = tmp_path / "gpuseg.yaml"
    config.write_text(config.read_text().replace("scheduler_file: where.json", "address: tcp://here:1"))
    command = ["bash", str(SLURM[0]), str(config)]
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(Path(package.__file__).parents[1])}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, "dask.scheduler_file is missing\n")


# --- Kubernetes ---


def manifest(kind):
    """The manifest for processors as it is, and that for GPUs by the command that it names."""
    path = BATCH / "kubernetes.yaml"
    text = path.read_text()
    if kind == "gpu":
        (words,) = re.findall(r"^# +sed (.+) kubernetes\.yaml \|", text, re.MULTILINE)
        given = re.findall(r"-e '([^']+)'", words)
        command = ["sed", *(word for one in given for word in ("-e", one)), str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(text)}


def pods(found):
    return {
        name: one["spec"]["template"]["spec"] for (_, name), one in found.items() if "template" in one.get("spec", {})
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_the_manifest_meets_the_schema(kind, version):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for one in manifest(kind).values():
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_the_manifest_name_each_other(kind, tmp_path):
    found = manifest(kind)
    maps = {name: one["data"] for (what, name), one in found.items() if what == "ConfigMap"}
    config = tmp_path / "gpuseg.yaml"
    config.write_text(maps["gpuseg"]["gpuseg.yaml"])
    read = read_config(config)
    assert (read.run.engine, read.run.executor) == (kind, "dask")
    service = found["Service", "gpuseg-scheduler"]
    assert read.dask.address == f"tcp://gpuseg-scheduler:{service['spec']['ports'][0]['port']}"
    scheduler = found["Deployment", "gpuseg-scheduler"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= scheduler.items()
    workers = found["Deployment", "gpuseg-worker"]
    a_pod = int(workers["spec"]["template"]["spec"]["containers"][0]["args"][1]) if kind == "cpu" else 1
    assert read.dask.workers == workers["spec"]["replicas"] * a_pod
    for pod in pods(found).values():
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            assert volume.get("configMap", {"name": "gpuseg"})["name"] in maps
            claim = volume.get("persistentVolumeClaim", {"claimName": "gpuseg-shared"})["claimName"]
            assert ("PersistentVolumeClaim", claim) in found
        assert all(one["configMapRef"]["name"] in maps for one in container["envFrom"])
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    for name in ("gpuseg-worker", "gpuseg-run"):
        (container,) = pods(found)[name]["containers"]
        assert any(str(read.run.out).startswith(mount["mountPath"]) for mount in container["volumeMounts"])
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) is (kind == "gpu")


def test_only_a_preempted_pod_is_started_again():
    spec = manifest("cpu")["Job", "gpuseg-run"]["spec"]
    disrupted, again, never = spec["podFailurePolicy"]["rules"]
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (again["action"], again["onExitCodes"]["values"]) == ("Count", [143])
    assert (never["action"], never["onExitCodes"]["operator"]) == ("FailJob", "NotIn")
    # Kubernetes takes such a policy only with these.
    assert (spec["template"]["spec"]["restartPolicy"], spec["podReplacementPolicy"]) == ("Never", "Failed")


@pytest.mark.parametrize(("code", "ended"), [(0, 0), (6, 0), (3, 3), (143, 143)])
def test_the_exit_code_of_the_pod(played, code, ended):
    assert played(*shell(), code=code)[0] == ended


def test_the_pod_hands_a_signal_on(played):
    assert played(*shell(), code="wait", terminate=True)[0] == 143


def shell():
    (container,) = pods(manifest("cpu"))["gpuseg-run"]["containers"]
    return [*container["command"], *container["args"]]


# --- dask ---


def test_dask_has_the_options_that_are_given_to_it():
    from distributed.cli import dask_scheduler, dask_worker

    for role, module in (("scheduler", dask_scheduler), ("worker", dask_worker)):
        check_options(rf"dask {role}", module.main)


def check_options(command, known):
    names = {option for parameter in known.params for option in (*parameter.opts, *parameter.secondary_opts)}
    scripts = [path.read_text() for path in SLURM]
    given = [call for text in scripts for call in re.findall(rf"(?m)^\s*{command} (?:.*\\\n)*.*", text)]
    for kind in KINDS:
        for pod in pods(manifest(kind)).values():
            (container,) = pod["containers"]
            words = " ".join([*container["command"], *container.get("args", [])])
            given += [words] if words.startswith(f"{command} ") else []
    assert given
    used = {option for call in given for option in re.findall(r"(?<=\s)--[a-z-]+", call)}
    assert used
    assert used <= names
