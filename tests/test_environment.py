"""What people have in their environment: every door runs in it, or says what to unset."""

import os
from pathlib import Path

import pytest

from jaxmnist import runtime
from jaxmnist.data.sources import VARIABLE, load_source
from jaxmnist.errors import UserError
from jaxmnist.files import user_path
from tests.helpers import run_python, write_config_file

MODELS = "-m jaxmnist models --json"
TABLE = "-m jaxmnist audit results --table"
TRAIN = "launch.py --config=models:tiny --workdir=never"


@pytest.mark.parametrize(
    ("setting", "command", "answer"),
    [
        ("JAX_PLATFORMS=cuda", TABLE, "unset JAX_PLATFORMS, which is cuda"),
        ("JAX_PLATFORMS=cuda", TRAIN, "unset JAX_PLATFORMS, which is cuda"),
        ("JAX_DISABLE_JIT=1", MODELS, "JAX_DISABLE_JIT is set"),
        ("JAX_DISABLE_JIT=1", TRAIN, "JAX_DISABLE_JIT is set"),
        ("JAX_ENABLE_X64=1", MODELS, ""),
        ("JAX_ENABLE_X64=1", TABLE, ""),
        ("PYTHONWARNINGS=error", MODELS, ""),
        ("PYTHONOPTIMIZE=2", MODELS, ""),
    ],
)
def test_every_door_runs_or_says_what_to_unset(setting: str, command: str, answer: str) -> None:
    name, _, value = setting.partition("=")
    done = run_python(*command.split(), **{name: value})
    assert done.returncode == (2 if answer else 0), done.stderr
    assert answer in done.stderr
    assert done.stderr.count("\n") == bool(answer)


@pytest.mark.slow
def test_a_run_in_double_precision_and_latin_1_from_a_home_that_is_nowhere(tmp_path: Path) -> None:
    config = write_config_file(tmp_path / "small.py", {"epochs": 1})
    workdir = tmp_path / "łódź"
    strange = {
        "JAX_ENABLE_X64": "1", "PYTHONIOENCODING": "latin-1", "HOME": "/nowhere",
        "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2",
    }  # fmt: skip
    done = run_python("launch.py", f"--config={config}", f"--workdir={workdir}", **strange)
    assert done.returncode == 0, done.stderr
    assert (workdir / "summary.json").exists()


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"
    assert user_path("x~") == Path("x~")
    with pytest.raises(UserError, match="home folder that is not known"):
        user_path("~nobody-of-this-name/x")


def test_each_place_of_the_digits_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match=f"none is not a folder: set {VARIABLE} to"):
        load_source("auto")
    with pytest.raises(UserError, match=r"mine is not a folder: set config\.data\.dir to"):
        load_source("dir", str(tmp_path / "mine"))
    for source in ("digits8x8", "tfds"):
        with pytest.raises(UserError, match=f"'{source}' does not read: set data.source to dir"):
            load_source(source, str(tmp_path))


def test_a_repository_around_an_installed_package_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert runtime.git_commit() or not (Path(runtime.__file__).parents[1] / ".git").exists()
    os.makedirs(tmp_path / ".git")
    monkeypatch.setattr(runtime, "__file__", str(tmp_path / "venv" / "jaxmnist" / "runtime.py"))
    assert runtime.git_commit() is None
