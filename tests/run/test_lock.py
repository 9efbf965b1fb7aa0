"""One process a run folder."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxmnist.errors import UserError
from jaxmnist.run.lock import locked

HOLD = """
import sys
from pathlib import Path
from jaxmnist.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path` until its input ends or it is killed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_is_in(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(UserError, match=rf"in use by process {holder.pid} on .*another workdir"):
        locked(tmp_path).__enter__()
    # That it asked has not let go of the other's lock, nor forgotten whose it is.
    with pytest.raises(UserError, match=f"process {holder.pid} "):
        locked(tmp_path).__enter__()


@pytest.mark.parametrize("end", ["killed", "done"])
def test_a_lock_ends_with_its_process(
    tmp_path: Path, holder: "subprocess.Popen[str]", end: str
) -> None:
    if end == "killed":
        os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with locked(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()
        with pytest.raises(UserError, match=f"process {os.getpid()} "):
            locked(tmp_path).__enter__()
    with locked(tmp_path):
        pass


def test_removing_the_file_lets_nobody_in(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    (tmp_path / ".lock").unlink()
    with pytest.raises(UserError, match="in use by another process"):
        locked(tmp_path).__enter__()
    assert holder.poll() is None


def test_a_folder_that_takes_no_lock_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        locked(tmp_path).__enter__()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL])
def test_a_file_system_without_locks_gets_a_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path):
        said = capsys.readouterr().out
    assert said.startswith(f"warning: the file system of {tmp_path} has no locks")
