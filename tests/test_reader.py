"""The recogniser of strings from end to end, and what people do with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jaxmnist
from jaxmnist.cli import main
from jaxmnist.constants import BLANK
from jaxmnist.errors import UserError
from jaxmnist.experiment import prepare
from jaxmnist.models.zoo import create_network
from jaxmnist.string_config import Camera, Strings, Writing
from jaxmnist.strings.effects import effects
from jaxmnist.tasks import ReadStrings
from jaxmnist.weights import with_temperature
from tests.helpers import SMALL_STRINGS, recipe

SHORT = {
    "model": SMALL_STRINGS, "epochs": 1, "sequence.train_sequences": 320,
    "validation.examples": 50, "eval.examples": 50, "eval.suites": ("clean", "blank"),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("reader") / "run"
    # Two effects, since each takes its second to compile; a test of test_experiment.py has all.
    camera = Camera(noise_probability=0.4, noise=(0.0, 0.5))
    strings = Strings(84, Writing(turn_probability=0.5, turn_degrees=20.0), camera=camera)
    summary = jaxmnist.train(replace(recipe("reader:tiny", SHORT), strings=strings), workdir)
    assert set(summary.suites) == {"clean", "blank"}
    assert summary.suites["blank"].digit_accuracy is None
    assert summary.config["strings"]["camera"]["noise_probability"] == 0.4
    return workdir


@pytest.mark.slow
def test_a_run_draws_what_it_was_trained_with(run: Path) -> None:
    for name in ("augmentations", "predictions", "curves"):
        assert (run / "plots" / f"{name}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_images_of_any_width_are_read_and_look_like_heads_to_others(run: Path) -> None:
    model = jaxmnist.load(run)
    images = np.random.RandomState(0).randint(0, 256, (3, 28, 84)).astype(np.uint8)
    heads = model.logits(images)
    assert heads.shape == (3, 3, BLANK + 1)
    np.testing.assert_allclose(np.exp(heads).sum(-1), 1, rtol=1e-4)
    wide = np.concatenate([images, images[:, :, :17]], axis=2)  # of no whole number of columns
    assert model.logits(wide).shape == (3, 4, BLANK + 1)
    labels = np.array([[1, 2, 3, 4, 5], [7, 10, 10, 10, 10], [10] * 5])
    scores = jaxmnist.evaluate(model, (wide, labels))
    assert scores.keys() >= {"n", "exact_sequence_accuracy", "coverage", "calibration_error"}
    assert scores["by_length"].keys() == {"0", "1", "5"}


@pytest.mark.slow
def test_predictions_have_the_form_of_the_labels(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.zeros((2, 28, 100), np.uint8)
    np.savez(tmp_path / "mine.npz", x=x, y=np.array([[10, 10], [10, 10]]))
    out = tmp_path / "out.npy"
    data = str(tmp_path / "mine.npz")
    main(["evaluate", "--run", str(run), "--data", data, "--predictions", str(out), "--json"])
    assert json.loads(capsys.readouterr().out)["n"] == 2
    assert np.load(out).shape in ((2, 2), (2, 3))  # an untrained network may read too much


def test_suites_that_do_not_exist_are_named() -> None:
    config = recipe("reader:tiny", {"eval.suites": ("clean", "fog")})
    with pytest.raises(UserError, match=r"eval\.suites names 'fog': choose of clean, inverted"):
        prepare(config)


def test_a_network_and_its_examples_belong_together() -> None:
    config = recipe("reader:tiny", {"model": "sequence_compact"})
    with pytest.raises(UserError, match=r"sequence_compact and the group config\.strings do not"):
        prepare(config)
    with pytest.raises(UserError, match="needs the group sequence"):
        replace(recipe("reader:tiny"), sequence=None)


def test_suites_that_differ_in_strength_share_a_program() -> None:
    suites = ReadStrings(6).suites
    assert suites["free"].func == suites["blur"].func
    assert suites["free"].func != suites["length_5"].func
    assert next(iter(suites)) == "clean"


def test_every_effect_that_is_on_is_drawn_alone() -> None:
    strings = recipe("reader:").strings
    assert strings
    drawn = effects(strings)
    assert drawn["all"] == strings
    assert drawn["blur"].camera.blur_probability == 1
    assert drawn["blur"].camera.noise_probability == 0
    assert drawn["turn"].writing.turn_degrees == strings.writing.turn_degrees
    assert "repeat" not in drawn  # it is off


def test_a_temperature_divides_the_logits() -> None:
    import jax
    import jax.numpy as jnp

    from jaxmnist.evaluation import one_network
    from jaxmnist.models.network import Weights
    from jaxmnist.models.summary import init_variables

    network = create_network(SMALL_STRINGS)
    init = jax.jit(lambda key: init_variables(network, key, 28, 28))
    variables = init(jax.random.key(0))
    weights = Weights(variables["params"], variables["batch_stats"])
    images = jax.random.uniform(jax.random.key(1), (2, 28, 28))
    cooler = with_temperature(network.architecture, one_network(weights), np.float32([2.0]))
    cooler = jax.tree.map(lambda leaf: leaf[0], cooler)
    apply = jax.jit(lambda each: network.apply(each._asdict(), images, train=False))
    plain, divided = apply(weights), apply(cooler)
    np.testing.assert_allclose(jnp.asarray(plain), 2 * jnp.asarray(divided), rtol=1e-5, atol=1e-6)
