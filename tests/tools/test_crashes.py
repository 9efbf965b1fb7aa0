"""Short versions of the two long searches: kills at any moment, faults of the disk."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, run_python, write_config_file
from tools.kill_points import search
from tools.storage_faults import compile_faults


@pytest.mark.slow
def test_three_kills_leave_the_same_bits(tmp_path: Path) -> None:
    config = write_config_file(tmp_path / "small.py", {"eval.every_epoch": True})
    outcomes = search(3, {"small": (f"--config={config}",)}, seed=1)["small"].values()
    # A run that is killed at its last point may be killed again until it ends: three or a few more.
    assert sum(one["kills"] for one in outcomes) >= 3
    assert sum(one["mismatches"] for one in outcomes) == 0
    assert sum(one["finished"] for one in outcomes) > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [22, 95])  # not permitted on folders, not supported
def test_a_disk_on_which_folders_cannot_be_synced_is_no_fault(number: int, tmp_path: Path) -> None:
    """As some shares are: for Python, and for Orbax's own library, too."""
    if not (library := compile_faults(tmp_path)):
        pytest.skip("needs Linux and a C compiler")
    config = write_config_file(tmp_path / "small.py", {"epochs": 1})
    environment = {"LD_PRELOAD": str(library), "FAULT_FOLDER_SYNC": str(number)}
    workdir = tmp_path / "run"
    for said in ("cannot sync folders", "nothing is repeated"):
        done = run_python("launch.py", f"--config={config}", f"--workdir={workdir}", **environment)
        assert done.returncode == 0, done.stderr[-2_000:]
        assert said in done.stdout
    assert (workdir / "checkpoints" / "1" / "checksums.json").exists()


@pytest.mark.slow
def test_faults_of_the_disk_lose_nothing(tmp_path: Path) -> None:
    if not compile_faults(tmp_path):
        pytest.skip("needs Linux and a C compiler")
    done = subprocess.run(
        [sys.executable, "-m", "tools.storage_faults", "--every", "23"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.count("refused in a sentence, state before it there") == 4
    assert done.stderr == ""  # Orbax's threads are silent, too
