"""Jobs of several real processes on one machine, and equality across counts of devices."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from absl import flags as absl_flags
from safetensors.numpy import load_file

from jaxmnist.cluster import Cluster, check_coordinator
from jaxmnist.errors import UserError
from jaxmnist.job import define_flags, parse
from tests.helpers import ROOT, run_python, write_config_file

LONGEST = 30  # seconds until all have ended, once one is lost


PORTS = range(61_440, 65_536)  # that JAX takes for a cluster's jobs, by their numbers


def free_port() -> int:
    """A port that nobody listens on; any of them, as tests run beside each other."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


Told = Callable[[int, int, int], tuple[list[str], dict[str, str]]]


def by_flags(number: int, processes: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How a process learns of its job where there is no cluster."""
    return [
        f"--coordinator=127.0.0.1:{port}", f"--num_processes={processes}", f"--process_id={number}",
    ], {}  # fmt: skip


def by_slurm(number: int, processes: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How Slurm's srun tells it, which JAX detects."""
    return ["--distributed"], {
        "SLURM_JOB_ID": str(port - PORTS.start),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(processes),
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
    }


def by_open_mpi(number: int, processes: int, port: int) -> tuple[list[str], dict[str, str]]:
    """How Open MPI's mpirun tells it."""
    return ["--distributed"], {
        "OMPI_MCA_orte_hnp_uri": f"{4096 * (port - PORTS.start)}.0;tcp://127.0.0.1:40000",
        "OMPI_COMM_WORLD_SIZE": str(processes),
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(number),
    }


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    said: str
    errors: str

    @property
    def sentence(self) -> str:
        """What it said of a fault that people can fix."""
        assert self.code == 2, self
        assert "Traceback" not in self.errors
        said = [line for line in self.errors.splitlines() if line.startswith("error: ")]
        assert said, self
        return said[-1]


@dataclass
class Process:
    """One process of a job."""

    popen: "subprocess.Popen[str]"

    def end(self, timeout: float = 300) -> Ended:
        """Waits for its end."""
        said, errors = self.popen.communicate(timeout=timeout)
        return Ended(self.popen.returncode, said, errors)

    def wait_for(self, beginning: str) -> None:
        """Waits for a line of its output."""
        assert self.popen.stdout
        assert any(line.startswith(beginning) for line in self.popen.stdout), self.end()


@contextmanager
def job(
    config: Path,
    workdir: Path,
    *more: str,
    processes: int,
    devices: int = 1,
    cluster: Told = by_flags,
) -> Iterator[list[Process]]:
    """Starts a job; no process outlives the block. `more` are flags of the last one."""
    port, started = free_port(), []
    for number in range(processes):
        flags, environment = cluster(number, processes, port)
        flags += [f"--config={config}", f"--workdir={workdir}"]
        popen = subprocess.Popen(
            [sys.executable, "launch.py", *flags, *(more if number == processes - 1 else ())],
            cwd=ROOT,
            env=os.environ | environment | {"JAX_NUM_CPU_DEVICES": str(devices)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Process(popen))
    try:
        yield started
    finally:
        for process in started:
            process.popen.kill()
            process.popen.communicate()


def assert_all_end_well(processes: list[Process], workdir: Path) -> None:
    ended = [process.end() for process in processes]
    assert [each.code for each in ended] == [0] * len(ended), ended
    assert ended[0].said.splitlines()[-1] == str(workdir / "summary.json")
    for other in ended[1:]:  # one writes
        assert "epoch" not in other.said


def losses(workdir: Path, seeds: int) -> np.ndarray:
    """The losses of every epoch in training and in validation, of the first seeds."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = [
        [np.atleast_1d(row.get("seeds", row)[f"{part}_loss"])[:seeds] for row in rows]
        for part in ("train", "validation")
    ]
    return np.array(found)


def assert_the_same(ours: Path, theirs: Path, seeds: int) -> None:
    """But for rounding, which training amplifies: the first three epochs."""
    found, expected = (losses(each, seeds)[:, :3] for each in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=5e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def two_seeds(folder: Path) -> Path:
    return write_config_file(folder / "two.py", {"num_seeds": 2})


@pytest.fixture(scope="module")
def alone(folder: Path, two_seeds: Path) -> Path:
    """Two seeds in one process with one device."""
    return run_alone(two_seeds, folder / "alone")


def run_alone(config: Path, workdir: Path) -> Path:
    done = run_python(
        "launch.py", f"--config={config}", f"--workdir={workdir}", JAX_NUM_CPU_DEVICES="1"
    )
    assert done.returncode == 0, done.stderr
    return workdir


def test_samples_and_losses_are_the_same_on_any_number_of_devices() -> None:
    done = run_python("-m", "tests.device_counts", JAX_NUM_CPU_DEVICES="8")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    for devices in ("2", "4", "8"):
        assert runs[devices]["samples"] == runs["1"]["samples"]
        np.testing.assert_allclose(runs[devices]["losses"], runs["1"]["losses"], rtol=5e-3)
    # The negative controls: other samples, and the same ones normalised in other parts.
    assert runs["other seed"]["samples"] != runs["1"]["samples"]
    assert runs["norm of shards"]["samples"] == runs["1"]["samples"]
    differences = np.subtract(runs["norm of shards"]["losses"], runs["1"]["losses"])
    assert np.abs(differences).max() > 0.1


def test_two_processes_of_two_devices_train_what_one_device_trains(
    folder: Path, alone: Path
) -> None:
    """Every batch lies on four devices: gradients and moments go from process to process."""
    workdir, config = folder / "sharded", write_config_file(folder / "one.py", {})
    with job(config, workdir, processes=2, devices=2) as processes:
        assert_all_end_well(processes, workdir)
    assert_the_same(workdir, alone, seeds=1)


def test_a_process_is_killed_the_other_stops_and_the_job_goes_on_elsewhere(
    folder: Path, two_seeds: Path, alone: Path
) -> None:
    """Each process has a seed, and both save; one process ends what two have begun."""
    workdir = folder / "killed"
    with job(two_seeds, workdir, processes=2) as (writer, victim):
        writer.wait_for("epoch 1/3")
        victim.popen.kill()
        assert "start all of them again" in writer.end(LONGEST).sentence
    saved = max((workdir / "checkpoints").iterdir(), key=lambda path: path.name)
    assert {path.name for path in saved.rglob("ocdbt.process_*")} == {
        "ocdbt.process_0", "ocdbt.process_1",
    }  # fmt: skip
    assert not (workdir / "summary.json").exists()
    run_alone(two_seeds, workdir)
    assert_the_same(workdir, alone, seeds=2)
    ours, theirs = (load_file(run / "weights.safetensors") for run in (workdir, alone))
    for name, array in theirs.items():  # a bias before a batch normalisation is all rounding
        if name.endswith("kernel"):
            np.testing.assert_allclose(ours[name], array, rtol=0, atol=1e-3 * np.abs(array).max())


@pytest.mark.slow
def test_four_processes_wait_for_a_slow_one_and_end_without_their_first(
    folder: Path, alone: Path
) -> None:
    """What is begun on four devices ends on two, and all along it is the same."""
    workdir, config = folder / "four", write_config_file(folder / "four.py", {"num_seeds": 4})
    with job(config, workdir, processes=4) as processes:
        first, *others, slow = processes
        first.wait_for("epoch 1/3")
        slow.popen.send_signal(signal.SIGSTOP)
        time.sleep(2)
        slow.popen.send_signal(signal.SIGCONT)
        first.wait_for("epoch 2/3")
        first.popen.kill()
        end = time.monotonic() + LONGEST
        for process in (*others, slow):
            assert process.end(end - time.monotonic()).sentence
    with job(config, workdir, processes=2, cluster=by_open_mpi) as processes:
        assert_all_end_well(processes, workdir)
    assert_the_same(workdir, alone, seeds=2)


def test_a_request_to_one_process_stops_all_and_the_same_job_goes_on(folder: Path) -> None:
    # So long that it is not over before the request comes, however slow the machine is.
    longer = write_config_file(folder / "longer.py", {"num_seeds": 2, "epochs": 12})
    alone, workdir = run_alone(longer, folder / "longer"), folder / "stopped"
    with job(longer, workdir, processes=2) as (writer, other):
        writer.wait_for("epoch 1/12")
        other.popen.send_signal(signal.SIGTERM)
        for process in (writer, other):
            ended = process.end()
            assert ended.code == 128 + signal.SIGTERM, ended
            assert "interrupted, and saved" in ended.errors
    with job(longer, workdir, processes=2, cluster=by_slurm) as processes:
        assert_all_end_well(processes, workdir)
    assert_the_same(workdir, alone, seeds=2)


def test_processes_with_different_recipes_are_refused(folder: Path, two_seeds: Path) -> None:
    workdir = folder / "different"
    with job(two_seeds, workdir, "--config.seed=7", processes=2) as processes:
        sentences = [process.end().sentence for process in processes]
    assert any("different configurations" in each for each in sentences)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--coordinator=127.0.0.1:6000 --num_processes=2", "belong together"),
        ("--process_id=1", "belong together"),
        ("--coordinator=here --num_processes=2 --process_id=0", "must be HOST:PORT"),
        ("--coordinator=here:6000 --num_processes=0 --process_id=0", "give 1 or more"),
        ("--coordinator=here:70000 --num_processes=2 --process_id=0", "must be HOST:PORT"),
        ("--coordinator=here:6000 --num_processes=2 --process_id=2", "--process_id is 2"),
        ("--distributed --start_timeout=0", "must be at least 1"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags: str, said: str) -> None:
    values = absl_flags.FlagValues()
    define_flags(values)
    with pytest.raises(UserError, match=said):
        parse(["jaxmnist train", "models:tiny", *flags.split()], values)


def test_a_second_job_on_a_port_is_refused() -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        second = Cluster(1, f"127.0.0.1:{port}", num_processes=2, process_id=0)
        with pytest.raises(UserError, match=f"cannot listen on port {port}"):
            check_coordinator(second)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--coordinator=127.0.0.1:{port} --num_processes=2 --process_id=1 --start_timeout=1",
         "does not answer at 127.0.0.1:{port}"),
        # Nobody but itself comes, which is where JAX aborts.
        ("--coordinator=127.0.0.1:{port} --num_processes=2 --process_id=0 --start_timeout=1",
         "start all of them again"),
        ("--distributed", "JAX detects no cluster here"),
    ],
)  # fmt: skip
def test_a_process_that_finds_no_other_says_so(
    flags: str, said: str, two_seeds: Path, folder: Path
) -> None:
    port, workdir = free_port(), folder / "none"
    done = run_python(
        "launch.py", f"--config={two_seeds}", f"--workdir={workdir}",
        *flags.format(port=port).split(),
    )  # fmt: skip
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert said.format(port=port) in ended.sentence
    assert not workdir.exists()
