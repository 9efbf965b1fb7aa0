"""The outside: commands as people type them, files as scripts read them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxmnist import cli
from jaxmnist.generate.suites import SUITES
from tests.helpers import ROOT, run_python

TinyRun = tuple[Path, str]


def test_a_closed_pipe_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxmnist", "models", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(timeout=600) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_is_full_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jaxmnist", "models"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "error: the output cannot be written (No space left on device): "
        "make room or send it elsewhere.\n"
    )


@pytest.mark.slow
def test_a_run_leaves_everything_that_it_promises(tiny_run: TinyRun) -> None:
    workdir, printed = tiny_run
    assert printed.splitlines()[-1] == str(workdir / "summary.json")
    names = {path.name for path in workdir.iterdir()}
    assert names >= {
        "config.json", "summary.json", "metrics.jsonl", "checkpoints", "model.txt", "plots",
        "weights.safetensors", "predictions.safetensors",
    }  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert {p.name for p in (workdir / "plots").iterdir()} == {"curves.png", "predictions.png"}

    summary = json.loads((workdir / "summary.json").read_text())
    assert summary.keys() >= {
        "name", "model", "params", "config", "seed", "num_seeds", "epochs", "data", "test",
        "suites", "published", "seconds", "examples_per_second", "peak_memory_bytes", "device",
        "versions", "git_commit",
    }  # fmt: skip
    assert summary["data"]["source"] == "digits8x8"
    assert "digits8x8" in printed
    assert "not MNIST" in printed
    assert summary["published"] is None
    assert summary["test"].keys() == {"metric", "mean", "sd", "values", "selection"}
    assert summary["suites"].keys() == SUITES.keys()
    assert summary["seconds"].keys() == {"compile", "train", "evaluate", "total"}
    assert summary["config"] == json.loads((workdir / "config.json").read_text())
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, summary["epochs"] + 1))
    arrays = load_file(workdir / "weights.safetensors")
    count = sum(array.size for name, array in arrays.items() if name.startswith("params."))
    assert count == summary["params"]


@pytest.mark.slow
def test_evaluate_gives_the_figures_of_the_run(
    tiny_run: TinyRun, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir, _ = tiny_run
    assert cli.main(["evaluate", "--run", str(workdir), "--json"]) == 0
    suites = json.loads(capsys.readouterr().out)["suites"]
    summary = json.loads((workdir / "summary.json").read_text())
    for name, result in suites.items():
        assert result["exact_sequence_accuracy"] == summary["suites"][name]["mean"]
        for length, accuracy in result["by_length"].items():
            assert accuracy == summary["suites"][name]["by_length"][length]["mean"]
    weights = str(workdir / "weights.safetensors")
    assert cli.main(["evaluate", "--weights", weights, "--suite", "noise", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one.items() >= ({"suite": "noise"} | suites["noise"]).items()
    assert one["data"] == "digits8x8"
    assert "fallback" in one["digits"]


@pytest.mark.slow
def test_evaluate_on_ones_own_images(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (7, 28, 56)).astype(np.uint8)
    labels = np.array([[1, 2], [3, 10], [4, 10], [5, 6], [7, 8], [9, 10], [0, 0]])
    np.savez(tmp_path / "mine.npz", x=images, y=labels)
    saved = tmp_path / "out.npy"
    asked = ["evaluate", "--run", str(tiny_run[0]), "--data", str(tmp_path / "mine.npz")]
    assert cli.main([*asked, "--json", "--predictions", str(saved)]) == 0
    answer = json.loads(capsys.readouterr().out)
    predicted = np.load(saved)
    assert predicted.shape == (7, 3)
    padded = np.pad(labels, ((0, 0), (0, 1)), constant_values=10)
    right = predicted == padded
    assert answer["n"] == 7
    assert answer["exact_sequence_accuracy"] == pytest.approx(right.all(-1).mean())
    assert answer["digit_accuracy"] == pytest.approx(right[padded != 10].mean())
    assert answer["by_length"].keys() == {"1", "2"}
    assert cli.main(asked) == 0
    words = capsys.readouterr().out
    assert "n 7" in words
    assert "exact_sequence_accuracy" in words


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        ("launch.py --help", ["configs/seq.py:tiny", "schedule.learning_rate = 0.001"]),
        ("-m jaxmnist train --help", ["jaxmnist train seq:tiny", "schedule.learning_rate = 0.001"]),
        ("-m jaxmnist evaluate --help", ["mine.npz"]),
        ("launch.py --helpfull", ["--config:", "--verbosity"]),
    ],
)
def test_help_teaches(command: str, taught: list[str]) -> None:
    done = run_python(*command.split())
    assert done.returncode == (1 if "full" in command else 0)  # absl's own
    assert all(words in done.stdout for words in taught)
