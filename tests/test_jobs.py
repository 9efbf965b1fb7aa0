"""The job files of jobs/: what they start is understood here, and their numbers agree."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from absl import flags

from jaxmnist import job
from jaxmnist.parser import make_parser
from tests.helpers import ROOT

JOBS = ROOT / "jobs"
SLURM = JOBS / "slurm.sh"
# The commands of Slurm, as far as the script uses them; each notes how it was called.
COMMANDS = {
    "srun": 'echo srun "$@" >>"$NOTES"; exit "$RUN_ENDS_WITH"',
    "squeue": 'echo "$JOB_IS"',
    "scontrol": 'echo scontrol "$@" >>"$NOTES"',
}


def parsed(arguments: list[str]) -> Any:
    """What the package makes of a command line, without its program name."""
    verb, *rest = arguments
    if verb == "train":
        flag_values = flags.FlagValues()
        job.define_flags(flag_values)
        return job.parse(["jaxmnist train", *rest], flag_values)
    others, _ = job.split(arguments)
    return make_parser().parse_args(others)


def load(name: str) -> Any:
    return yaml.safe_load((JOBS / name).read_text(encoding="utf-8"))


def test_shell_scripts_are_clean() -> None:
    subprocess.run(["bash", "-n", SLURM], check=True)
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("needs shellcheck")
    for script in (SLURM.read_text(), *("#!/bin/bash\n" + load("sky.yaml")[k] for k in PARTS)):
        done = subprocess.run([shellcheck, "-"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


PARTS = ("setup", "run")  # scripts in sky.yaml


def run_slurm(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Runs the script as Slurm would; returns its exit code and the commands that it gave."""
    for name, line in COMMANDS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    surroundings = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(tmp_path / "notes"),
        "SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "RUN_ENDS_WITH": "0", "JOB_IS": "RUNNING",
    }  # fmt: skip
    done = subprocess.run(["bash", SLURM, *arguments], env=surroundings | environment)
    notes = tmp_path / "notes"
    return done.returncode, notes.read_text().splitlines() if notes.exists() else []


@pytest.mark.parametrize(
    ("ends_with", "job_is", "requeued"),
    [
        ("143", "RUNNING", True),  # its time is over
        ("143", "PREEMPTED", False),  # Slurm does it
        ("143", "CANCELLED", False),
        ("2", "RUNNING", False),
        ("0", "RUNNING", False),
    ],
)
def test_slurm_starts_a_run_again_that_saved_as_its_time_was_over(
    ends_with: str, job_is: str, requeued: bool, tmp_path: Path
) -> None:
    code, notes = run_slurm(tmp_path, RUN_ENDS_WITH=ends_with, JOB_IS=job_is)
    assert code == int(ends_with)
    assert notes[1:] == (["scontrol requeue 7"] if requeued else [])


def commands_of(notes: list[str]) -> list[str]:
    line = shlex.split(notes[0])
    return line[line.index("jaxmnist") + 1 :]


def test_slurm_passes_on_what_it_is_given(tmp_path: Path) -> None:
    _, notes = run_slurm(tmp_path)
    assert parsed(commands_of(notes)).workdir == Path("runs/seq")
    (tmp_path / "notes").unlink()
    _, notes = run_slurm(tmp_path, "train", "seq:tiny", "--config.seed=3", SLURM_NTASKS="8")
    assert commands_of(notes)[-1] == "--distributed"
    assert parsed(commands_of(notes)).config.seed == 3
    (tmp_path / "notes").unlink()
    array = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MAX": "4"}
    _, notes = run_slurm(tmp_path, "sweep", "models:tiny", "--over", "seed=0..3", **array)
    assert parsed(commands_of(notes)).shard == "2/4"


def test_a_sweep_is_not_started_in_several_processes(tmp_path: Path) -> None:
    code, notes = run_slurm(
        tmp_path, "sweep", "models:tiny", "--over", "seed=0..3", SLURM_NTASKS="2"
    )
    assert (code, notes) == (2, [])


def test_comments_of_the_files_are_commands_that_work() -> None:
    found = []
    for path in (SLURM, JOBS / "Dockerfile", ROOT / "docs" / "jobs.md"):
        text = path.read_text(encoding="utf-8")
        found += re.findall(r"(?:slurm\.sh|jaxmnist(?::cuda)?) ((?:train|sweep) [^#\n`]+)", text)
    assert len(found) > 5
    for line in found:
        parsed(shlex.split(line))


def test_the_processes_of_a_jobset_find_each_other() -> None:
    jobset = load("jobset.yaml")
    (worker,) = jobset["spec"]["replicatedJobs"]
    of_job = worker["template"]["spec"]
    pod = of_job["template"]["spec"]
    (container,) = pod["containers"]
    arguments = [each.replace("$(JOB_COMPLETION_INDEX)", "0") for each in container["args"]]
    wanted = parsed(arguments)
    options = dict(each.split("=", 1) for each in arguments if each.startswith("--"))
    count = of_job["parallelism"]
    assert of_job["completions"] == count == int(options["--num_processes"])
    assert wanted.config.num_seeds % count == 0
    name = jobset["metadata"]["name"]
    port = container["ports"][0]["containerPort"]
    assert options["--coordinator"] == f"{name}-{worker['name']}-0-0.{name}:{port}"
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    shared = container["volumeMounts"][0]["mountPath"]
    assert str(wanted.workdir).startswith(shared)
    assert container["env"][0]["value"].startswith(shared)


def test_sky_starts_a_run_with_a_store() -> None:
    sky = load("sky.yaml")
    line = sky["run"].replace("$RECIPE", sky["envs"]["RECIPE"]).replace("$STORE", "s3://b/seq")
    _, *arguments = shlex.split(line)
    assert parsed(arguments).store == "s3://b/seq"


def test_what_images_and_machines_install_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = extras["optional-dependencies"].keys()
    dockerfile = (JOBS / "Dockerfile").read_text()
    asked = re.findall(r"EXTRAS=([\w,]+)", dockerfile)
    asked += re.findall(r"'\.\[([\w,]+)\]'", load("sky.yaml")["setup"])
    assert len(asked) == 3
    assert {extra for each in asked for extra in each.split(",")} <= known
    for line in re.findall(r"^COPY (.*)", dockerfile, re.M):
        assert all((ROOT / source).exists() for source in line.split()[:-1])
