"""Runs whose machine is lost with its disk go on from the copy in an object store."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jaxmnist.errors import Interrupted, UserError
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.progress import Progress
from jaxmnist.run.signals import StopRequest
from jaxmnist.run.store import Store
from jaxmnist.training import train
from tests.helpers import ROOT, short_run, write_config_file
from tools.kill_points import results

ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}  # fmt: skip


@pytest.fixture
def url() -> Iterator[str]:
    """An empty store in this process's memory, which fsspec speaks to as to any other."""
    yield "memory://bucket/runs/one"
    memory = fsspec.filesystem("memory")
    if memory.exists("/bucket"):
        memory.rm("/bucket", recursive=True)


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("through") / "run"
    train(short_run(), workdir)
    return workdir


def stopped_run(workdir: Path, url: str, patched: pytest.MonkeyPatch) -> None:
    """Trains until its second epoch, in which SIGTERM arrives."""
    stop, show = StopRequest(), Progress.show

    def ask(self: Progress, done: int, *rates: float) -> None:
        show(self, done, *rates)
        if self.epoch == 1:
            stop.code = 143

    with patched.context() as within:
        within.setattr(Progress, "show", ask)
        with pytest.raises(Interrupted):
            train(short_run(), workdir, stop=stop, store=Store(url))


def content(url: str) -> dict[str, bytes]:
    files, root = fsspec.url_to_fs(url)
    return {name.removeprefix(f"{root}/"): files.cat_file(name) for name in files.find(root)}


def test_a_run_goes_on_without_its_disk_with_the_same_bits(
    url: str,
    through: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped_run(tmp_path / "first", url, monkeypatch)
    shutil.rmtree(tmp_path / "first")
    train(short_run(), tmp_path / "second", store=Store(url))
    said = capsys.readouterr().out
    assert "was brought up to its copy in memory://bucket/runs/one" in said
    assert "resuming" in said
    assert results(tmp_path / "second") == results(through)

    # The copy is the folder, and a finished run is reported from it.
    here = {
        path.relative_to(tmp_path / "second").as_posix(): path.read_bytes()
        for path in (tmp_path / "second").rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert content(url) == here
    train(short_run(), tmp_path / "third", store=Store(url))
    assert "holds a finished run" in capsys.readouterr().out
    assert results(tmp_path / "third") == results(through)


def test_half_a_copy_is_not_taken(url: str, through: Path, tmp_path: Path) -> None:
    """Whatever copy breaks off: what is taken from it is a run, as far as it had come."""
    whole = [f"checkpoints/{number}/checksums.json" for number in (1, 2, 3)]
    whole = [name for name in whole if (through / name).exists()]
    files = fsspec.filesystem("memory")
    put, left = type(files).put_file, [0]

    def break_off(*arguments: Any) -> None:
        if not left[0]:
            raise ConnectionError("reset by peer")
        left[0] -= 1
        put(files, *arguments)

    store = Store(url)
    count = len([path for path in through.rglob("*") if path.is_file()])
    store._files.put_file = break_off
    try:
        for number in range(count):
            left[0] = 1
            with contextlib.suppress(UserError):
                store.push(through)
                break
            folder = RunFolder(tmp_path / str(number), short_run())
            Store(url).fetch(folder)
            there = content(url)
            assert (folder.path / "summary.json").exists() == ("summary.json" in there)
            for name in whole:
                # A checkpoint comes whole or not at all.
                taken = folder.path / name
                assert taken.exists() == (name in there)
                assert taken.parent.exists() == taken.exists()
                if taken.exists():
                    source = {p.name for p in (through / name).parent.rglob("*")}
                    assert {p.name for p in taken.parent.rglob("*")} == source
        else:
            pytest.fail("the copy never ended")
    finally:
        del store._files.put_file


def test_a_folder_that_is_ahead_of_its_copy_stays_as_it_is(
    url: str, through: Path, tmp_path: Path
) -> None:
    shutil.copytree(through, tmp_path / "run")
    Store(url).push(tmp_path / "run")
    folder = RunFolder(tmp_path / "run", short_run())
    assert not Store(url).fetch(folder)
    (tmp_path / "run" / "summary.json").unlink()
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    shutil.copytree(newest, newest.with_name("9"))
    assert not Store(url).fetch(folder)
    assert not (tmp_path / "run" / "summary.json").exists()
    # Checkpoints that the folder keeps no longer, the copy keeps no longer.
    shutil.rmtree(newest)
    Store(url).push(tmp_path / "run")
    assert not any(name.startswith(f"checkpoints/{newest.name}/") for name in content(url))
    assert "checkpoints/9/checksums.json" in content(url)


def test_the_copy_of_another_run_is_refused(url: str, through: Path, tmp_path: Path) -> None:
    Store(url).push(through)
    with pytest.raises(UserError, match=r"memory://.* another conf.* seed \(0 there, 7 here\)"):
        train(short_run(seed=7), tmp_path / "run", store=Store(url))
    assert not (tmp_path / "run").exists()
    fsspec.filesystem("memory").pipe_file("/bucket/runs/two/letter.txt", b"Dear Sir")
    with pytest.raises(UserError, match="not empty and not a run folder: give another address"):
        train(short_run(), tmp_path / "run", store=Store("memory://bucket/runs/two"))


def test_a_store_that_fails_during_a_run_costs_a_warning(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    push, calls = Store.push, [0]

    def fail_once(self: Store, folder: Path) -> None:
        calls[0] += 1
        if calls[0] == 2:  # after the first epoch
            raise UserError("the object store is away.")
        push(self, folder)

    monkeypatch.setattr(Store, "push", fail_once)
    train(short_run(epochs=1), tmp_path / "run", store=Store(url))
    assert "warning: saved on this disk only: the object store is away" in capsys.readouterr().out
    assert {"checkpoints/1/checksums.json", "summary.json"} < content(url).keys()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("bucket/seq", "'bucket/seq' is no address of an object store: give one such as s3://"),
        ("s3://", "'s3://' is no address"),
        ("file:///runs/seq", "is on this machine: give its path as the workdir"),
        ("s4://bucket", "begins with a protocol that is not known"),
    ],
)
def test_addresses_that_are_none_are_told(address: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Store(address)


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """Starts a server that speaks S3; yields what a client's environment needs."""
    for name in ("s3fs", "moto", "flask_cors"):
        pytest.importorskip(name, reason="pip install s3fs 'moto[s3]' flask flask-cors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.05)
            yield ACCOUNT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        finally:
            process.kill()


def test_a_killed_run_goes_on_from_s3(
    server: dict[str, str], through: Path, tmp_path: Path
) -> None:
    """As a person would: processes of their own, `kill -9`, the folder gone, the same command."""
    config = write_config_file(tmp_path / "short.py", {})
    environment = os.environ | server | {"JAX_NUM_CPU_DEVICES": "2"}  # as `through` has them
    make = urllib.request.Request(f"{server['AWS_ENDPOINT_URL']}/bucket", method="PUT")
    urllib.request.urlopen(make).close()
    command = [
        sys.executable, "launch.py", f"--config={config}", f"--workdir={tmp_path / 'run'}",
        "--store=s3://bucket/runs/short",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        for line in first.stdout:
            if line.strip().startswith("epoch 2/"):
                first.send_signal(signal.SIGKILL)
                break
    shutil.rmtree(tmp_path / "run")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "was brought up to its copy in s3://bucket/runs/short" in done.stdout
    assert "resuming" in done.stdout
    assert results(tmp_path / "run") == results(through)

    command[-1] = "--store=s3://no-such-bucket/runs/short"
    shutil.rmtree(tmp_path / "run")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the object store s3://no-such-bucket/runs/short cannot")
