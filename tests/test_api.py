"""The Python interface: the examples in its docstrings, and what they do not show."""

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxmnist
from jaxmnist import api, config, recipes
from jaxmnist.errors import UserError
from tests.helpers import run_python


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in a folder with the run of the examples, after running them all."""
    monkeypatch.chdir(folder)
    if not (folder / "runs").exists():
        runner = doctest.DocTestRunner(verbose=False)
        for name in ("train", "load", "evaluate"):
            (example,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name)
            assert example.examples
            assert not runner.run(example).failed
    return folder / "runs" / "models-tiny"


def test_the_examples_run(trained: Path) -> None:
    assert (trained / "summary.json").exists()


def test_training_again_returns_the_same_summary(trained: Path) -> None:
    built = config.from_dict(recipes.load("models:tiny").to_dict())
    assert jaxmnist.train(built, trained) == jaxmnist.train(recipes.load("models:tiny"), trained)


def test_logits_are_the_same_from_bytes_and_from_fractions(trained: Path) -> None:
    model = jaxmnist.load(trained / "weights.safetensors")
    images = np.random.RandomState(0).randint(0, 256, (150, 28, 28)).astype(np.uint8)
    logits = model.logits(images)
    assert logits.shape == (150, 1, 10)
    np.testing.assert_allclose(model.logits(images / 255), logits, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="reads at most 28"):
        model.logits(np.zeros((1, 28, 56), np.uint8))


def test_images_of_every_kind_of_number_are_the_same_images(trained: Path) -> None:
    model = jaxmnist.load(trained)
    random = np.random.RandomState(0)
    x, y = random.randint(0, 2, (9, 28, 28)).astype(np.uint8) * 255, random.randint(0, 10, 9)
    scores = jaxmnist.evaluate(model, (x, y))
    for same in (x / 255, x == 255, x.astype(int), (x / 255).astype(np.float16), x.tolist()):
        assert jaxmnist.evaluate(model, [same, y.tolist()]) == scores
        np.testing.assert_allclose(model.logits(np.asarray(same)), model.logits(x), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "answer"),
    [
        (np.full((1, 28, 28), 1.5), [3], "values from 1.5 to 1.5: make it"),
        (np.full((1, 28, 28), np.nan), [3], "values from nan to nan: make it"),
        (np.ones((1, 28, 28), np.uint8), [3], "no value above 1, where 255 is ink"),
        (np.full((1, 28, 28), 300), [3], "values from 300 to 300: make it"),
        (np.full((1, 28, 28), "1"), [3], "make it uint8"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, int), "at least one image"),
        (np.zeros((1, 28, 28), np.uint8), [100], "digits 0 to 9"),
        (np.zeros((1, 28, 28), np.uint8), [-1], "digits 0 to 9"),
        (np.zeros((1, 28, 28), np.uint8), [10], "always reads a digit"),
        (np.zeros((1, 28, 28), np.uint8), [3.5], "make it integers"),
    ],
)
def test_arrays_that_are_no_digits_are_refused(
    images: np.ndarray, labels: list[Any], answer: str, trained: Path
) -> None:
    with pytest.raises(jaxmnist.UserError, match=answer):
        jaxmnist.evaluate(trained, (images, labels))


def test_arrays_and_their_file_score_the_same(trained: Path) -> None:
    random = np.random.RandomState(0)
    x, y = random.randint(0, 256, (7, 28, 28)).astype(np.uint8), random.randint(0, 10, 7)
    np.savez("mine.npz", x=x, y=y)
    model = jaxmnist.load(trained)
    assert jaxmnist.evaluate(model, (x, y)) == jaxmnist.evaluate(trained, "mine.npz")
    with pytest.raises(UserError, match="7 images but 3 labels"):
        jaxmnist.evaluate(model, (x, y[:3]))


def test_a_suite_is_scored_as_in_the_run(trained: Path) -> None:
    summary = jaxmnist.train("models:tiny", trained)
    assert jaxmnist.evaluate(trained, "clean")["accuracy"] == summary.test.mean


def test_the_functions_go_before_the_modules_of_their_names() -> None:
    code = (
        "import sys, jaxmnist\n"
        "assert 'jax' not in sys.modules\n"
        "from jaxmnist.training import train\n"
        "from jaxmnist.evaluation import Evaluator\n"
        "assert jaxmnist.train is jaxmnist.api.train and jaxmnist.train is not train\n"
        "assert jaxmnist.evaluate is jaxmnist.api.evaluate\n"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
