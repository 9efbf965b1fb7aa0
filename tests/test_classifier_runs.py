"""Whole runs of classifiers: every config file, and what the summary says of the protocol."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from configs import ds_cnn, iterations, models, speedrun, v
from jaxmnist import cli, devices
from jaxmnist.data.sources import load_digits
from jaxmnist.programs import initial_state
from jaxmnist.recipe import make_recipe
from jaxmnist.speedrun import race, words
from jaxmnist.storage.checkpoint import restore_latest
from jaxmnist.train import train_and_evaluate

# configs/iterations.py:tiny goes from end to end in test_determinism.py.
FILES = {"ds_cnn": ds_cnn, "models": models, "speedrun": speedrun, "v": v}


def run(settings: dict[str, Any], workdir: Path) -> dict[str, Any]:
    return json.loads(train_and_evaluate(settings, workdir).read_text())


def as_run(epochs: int = 3, **changes: Any) -> dict[str, Any]:
    """An iteration on the stand-in, watching its augmented training digits as published."""
    settings = iterations.get_config("iteration_2_as_run").to_dict()
    settings |= {"epochs": epochs} | changes
    settings["data"]["source"] = "digits8x8"
    return settings


def last_kernels(workdir: Path, settings: dict[str, Any]) -> np.ndarray:
    """The first kernel of every seed, as the last checkpoint has it."""
    like = initial_state(make_recipe(settings, 1_000), settings["seed"], settings["num_seeds"])
    saved = restore_latest(workdir / "checkpoints", like, print)
    assert saved
    return np.asarray(saved[0].params["conv1"]["kernel"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FILES))
def test_tiny_recipes_learn(name: str, tmp_path: Path) -> None:
    summary = run(FILES[name].get_config("tiny").to_dict(), tmp_path / "run")
    assert summary["test"]["metric"] == "accuracy"
    assert summary["test"]["mean"] > 0.6
    assert summary["suites"].keys() == {"clean", "inverted", "rotation", "noise"}
    assert summary["published"] is None
    assert (summary["protocol"] or {}).get("as_published") is None
    assert summary["data"]["validation_examples"] > 0
    if name == "speedrun":  # a race trains as a run does: same seed, same network
        settings = speedrun.get_config("tiny").to_dict()
        raced = race(settings, 2, on_held_out=False, tell=lambda line: None)
        assert raced["accuracy"]["values"][0] == summary["test"]["mean"]
        assert raced["accuracy"]["values"][1] != summary["test"]["mean"]
        assert min(raced["seconds"]["values"]) > raced["seconds"]["of_these_loading"] > 0
        assert "n = 2" in words(raced)
        held_out = race(settings, 1, on_held_out=True, tell=lambda line: None)
        assert "held-out" in held_out["measured_on"]


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    workdir = tmp_path_factory.mktemp("runs") / "two"
    return workdir, run(as_run(num_seeds=2), workdir)


def test_the_protocol_says_what_the_same_training_is_worth_by_each_measure(
    two_seeds: tuple[Path, dict[str, Any]],
) -> None:
    workdir, summary = two_seeds
    protocol = summary["protocol"]
    history = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    watched = np.array([row["seeds"]["validation_accuracy"] for row in history]).T
    test = np.array(protocol["every_epoch"])
    assert test.shape == (2, 3)
    # Published as the best epoch of what the code called test: here the training digits.
    assert protocol["as_published"]["values"] == watched.max(1).tolist()
    assert protocol["last_epoch"]["values"] == test[:, -1].tolist() == summary["test"]["values"]
    assert protocol["picked_on_test"]["values"] == test.max(1).tolist()
    np.testing.assert_allclose(protocol["inflation"]["values"], test.max(1) - test[:, -1])
    assert protocol["chosen_epoch"] is None
    assert summary["data"]["validation_examples"] == 0
    assert summary["published"] is None  # never beside a stand-in


@pytest.mark.slow
def test_the_epoch_is_chosen_on_held_out_digits(tmp_path: Path) -> None:
    settings = iterations.get_config("iteration_2").to_dict() | {"epochs": 4}
    settings["schedule"]["learning_rate"] = 0.03  # restless enough to have a best epoch
    settings["data"]["source"] = "digits8x8"
    summary = run(settings, tmp_path / "run")
    history = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    best = int(np.argmax([row["validation_accuracy"] for row in history]))
    protocol = summary["protocol"]
    assert protocol["chosen_epoch"]["epochs"] == [best + 1]
    assert protocol["chosen_epoch"]["values"] == [protocol["every_epoch"][0][best]]
    assert summary["test"]["values"] == protocol["chosen_epoch"]["values"]
    assert protocol["as_published"] is None


def test_a_classifier_is_measured_again_and_on_ones_own_images(
    two_seeds: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir, summary = two_seeds
    assert cli.main(["evaluate", "--run", str(workdir), "--suite", "clean", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == summary["suites"]["clean"]["values"][0]

    test = load_digits(**as_run()["data"]).test
    np.savez(tmp_path / "mine.npz", x=test.images, y=test.labels)
    saved = tmp_path / "out.npy"
    asked = ["evaluate", "--run", str(workdir), "--data", str(tmp_path / "mine.npz")]
    assert cli.main([*asked, "--json", "--predictions", str(saved)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.items() >= {"n": len(test), "accuracy": again["accuracy"]}.items()
    assert np.load(saved).shape == (len(test),)
    assert (np.load(saved) == test.labels).mean() == pytest.approx(again["accuracy"])

    np.savez(tmp_path / "empty.npz", x=test.images[:2], y=np.array([3, 10]))
    asked[-1] = str(tmp_path / "empty.npz")
    assert cli.main(asked) == 2
    assert "always reads a digit" in capsys.readouterr().err


def test_export_is_a_plain_state_dict(
    two_seeds: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_reference import REFERENCES

    for kind, file in (("torch", "a.pth"), ("safetensors", "a.safetensors")):
        out = tmp_path / file
        asked = ["export", "--run", str(two_seeds[0]), "--format", kind, "--out", str(out)]
        assert cli.main(asked) == 0
        assert capsys.readouterr().out.strip() == str(out)
    state = torch.load(tmp_path / "a.pth", weights_only=True)
    twin = REFERENCES["iteration_2"]().eval()
    twin.load_state_dict(state, strict=True)
    other = load_file(tmp_path / "a.safetensors")
    assert {name: value.numpy().tobytes() for name, value in state.items()} == {
        name: value.tobytes() for name, value in other.items()
    }
    test = load_digits(**as_run()["data"]).test
    images = (torch.from_numpy(test.images[:, None]).float() / 255 - 0.1307) / 0.3081
    with torch.no_grad():
        right = twin(images).argmax(-1).numpy() == test.labels
    # The twin may break a tie the other way, once in many thousand digits.
    assert right.mean() == pytest.approx(two_seeds[1]["test"]["values"][0], abs=1.5 / len(test))


@pytest.mark.slow
def test_seeds_at_once_are_the_seeds_alone(
    two_seeds: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workdir, summary = two_seeds
    assert summary["num_seeds"] == len(summary["test"]["values"]) == 2
    assert summary["test"]["sd"] is not None
    # A batch in parts has its sums rounded otherwise, which training amplifies without a bound:
    # test_programs.py holds one step of it to that of the whole.
    monkeypatch.setattr(devices, "WORTH_A_CORE", 1_000)  # no batch here goes into two parts
    alone = run(as_run(seed=1), tmp_path / "alone")
    first, second = last_kernels(workdir, as_run(num_seeds=2))
    (only,) = last_kernels(tmp_path / "alone", as_run(seed=1))
    np.testing.assert_array_equal(second, only)
    assert np.abs(first - only).max() > 5e-2
    accuracies = summary["protocol"]["every_epoch"]
    assert accuracies[1] == alone["protocol"]["every_epoch"][0]
    assert accuracies[0] != accuracies[1]
