"""PyTorch's side of the comparison: networks like ours, Pillow's transforms, a whole race."""

import json
import math
import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxmnist.bench.options import BASELINES, OURS, Options
from jaxmnist.bench.report import table
from jaxmnist.bench.workload import make_workload
from jaxmnist.config import Augment
from jaxmnist.data.dataset import Dataset
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.generate import augment
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.network import Network
from jaxmnist.models.zoo import DIGIT_MODELS, SEQUENCE_MODELS, find_architecture
from jaxmnist.systems.published import SYSTEMS
from tests.helpers import COMPILE_FAST, run_python

torch = pytest.importorskip("torch")

from jaxmnist.bench import torch_published  # noqa: E402 - it needs torch
from jaxmnist.bench.torch_baselines import batches, make_trainers  # noqa: E402 - it needs torch
from jaxmnist.bench.torch_model import build_torch_model  # noqa: E402 - it needs torch
from tests.models.torch_comparison import (  # noqa: E402 - it needs torch
    ARCHITECTURES,
    torch_variables,
)
from tests.models.torch_reference import REFERENCES  # noqa: E402 - it needs torch

RANDOM = np.random.RandomState(3)


def one_matrix(state: dict[str, np.ndarray], last: int) -> dict[str, "torch.Tensor"]:
    """A state dict with the linear layers of several heads, `last.0`, `last.1`, ..., as one."""
    found = {name: torch.from_numpy(array) for name, array in state.items()}
    for end in ("weight", "bias"):
        parts = sorted(n for n in found if n.startswith(f"{last}.") and n.count(".") == 2)
        if rows := [found.pop(name) for name in parts if name.endswith(end)]:
            found[f"{last}.{end}"] = torch.cat(rows)
    return found


def random_images(heads: int) -> "torch.Tensor":
    images = RANDOM.normal(size=(4, 1, 28, 28 * heads)).astype(np.float32)
    return torch.from_numpy(images)


def assert_same_logits(model: "torch.nn.Sequential", images: "torch.Tensor", ours) -> None:
    def theirs() -> np.ndarray:
        with torch.no_grad():
            logits = model.eval()(images).numpy()
        if logits.ndim == 2:
            assert logits.shape == (4 * ours.shape[1], ours.shape[2])
        return logits.reshape(ours.shape)

    # The scale is that of the logits; float32 sums run in another order.
    scale = np.abs(ours).max()
    assert np.abs(theirs() - ours).max() <= 3e-6 * scale
    # The negative control: one weight of the first convolution.
    first = next(layer for layer in model if hasattr(layer, "weight"))
    with torch.no_grad():
        first.weight[0, 0, 1, 1] += 0.01
    assert np.abs(theirs() - ours).max() > 3e-6 * scale


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_torch_model_is_the_reference(name: str) -> None:
    """And tests/models/test_torch_models.py holds our network to the same reference."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    images = random_images(architecture.heads)
    reference = REFERENCES[name]()
    with torch.no_grad():
        reference(images)  # in training, so that the running statistics are no longer 0 and 1
        logits = reference.eval()(images).numpy()
    model = build_torch_model(architecture, 28, 28 * architecture.heads)
    state = {key: tensor.numpy() for key, tensor in reference.state_dict().items()}
    model.load_state_dict(one_matrix(state, len(architecture.layers) - 1))
    assert_same_logits(model, images, logits.reshape(4, architecture.heads, -1))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*DIGIT_MODELS, *SEQUENCE_MODELS} - REFERENCES.keys()))
def test_the_torch_model_without_a_reference_is_our_network(name: str) -> None:
    torch.manual_seed(0)
    architecture = find_architecture(name, 3)
    images = random_images(architecture.heads or 3)
    model = build_torch_model(architecture, *images.shape[2:])
    with torch.no_grad():
        model(images)  # in training, so that the running statistics are no longer 0 and 1
    variables = torch_variables(architecture, model)
    assert to_state_dict(architecture, variables).keys() == model.state_dict().keys()
    network = Network(architecture, LAYOUTS["chwn"])
    apply = jax.jit(partial(network.apply, train=False), compiler_options=COMPILE_FAST)
    assert_same_logits(model, images, np.asarray(apply(variables, images[:, 0].numpy())))


@pytest.mark.parametrize(
    ("system", "kind"), [("v_1", torch.optim.SGD), ("ds_cnn", torch.optim.Adam)]
)
def test_a_trainer_learns_with_the_recipes_optimizer(system: str, kind: type) -> None:
    work = make_workload(system, 16, Options(source="digits8x8", seeds=2))
    assert work.ready is not None
    first, second = make_trainers(work)
    assert type(first.optimizer) is kind
    rate = work.config.schedule.learning_rate
    assert first.optimizer.param_groups[0]["lr"] == pytest.approx(rate)
    weights = [each.model[0].weight.detach().clone() for each in (first, second)]
    assert (weights[0] != weights[1]).any()  # another seed
    images = torch.from_numpy(work.ready[0][:16, None])
    labels = torch.from_numpy(work.ready[1][:16, 0]).long()
    losses = [first.step(images, labels).item() for _ in range(8)]
    assert losses[-1] < losses[0]
    assert (first.model[0].weight != weights[0]).any()


def test_the_loss_of_sequences_is_summed_over_heads() -> None:
    work = make_workload("seq-compact", 16, Options(source="digits8x8"))
    assert work.ready is not None
    images, labels = (torch.from_numpy(array[:16]) for array in work.ready)
    assert images.shape == (16, 28, 84)
    (trainer,) = make_trainers(work)
    loss = trainer.step(images[:, None], labels.long()).item()
    assert loss == pytest.approx(3 * math.log(11), rel=0.15)  # by guessing, three times


def test_batches_go_through_every_example_once_an_epoch() -> None:
    found = list(batches(12, 4, 7, torch.device("cpu")))
    assert [len(batch) for batch in found] == [4] * 7
    for epoch in (found[:3], found[3:6]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(12))
    assert torch.cat(found[:3]).tolist() != torch.cat(found[3:6]).tolist()


def test_published_images_without_augmentation_are_ours(digits: np.ndarray) -> None:
    some = Dataset(digits[:50], np.arange(50).astype(np.uint8) % 10)
    dataset = torch_published.DigitSet(some, Augment())
    theirs = np.stack([dataset[number][0][0].numpy() for number in range(len(dataset))])
    ours = augment.normalise(jnp.asarray(digits[:50], jnp.float32) / 255)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)
    assert [dataset[number][1] for number in range(50)] == some.labels.tolist()


@pytest.mark.parametrize("degrees", [-30.0, 7.0])
def test_published_steps_are_ours(digits: np.ndarray, degrees: float) -> None:
    image = jnp.asarray(digits[0], jnp.float32) / 255
    picture = Image.fromarray(digits[0])
    angle = jnp.radians(degrees)
    shift, scale = (2, -1), 1.1
    pairs = {
        "rotate": (
            torch_published.rotate(picture, degrees, 1 / 255),
            augment.rotate(image, angle, 1 / 255),
        ),
        "affine": (
            torch_published.affine(picture, degrees, shift, scale),
            augment.affine(image, angle, jnp.array(shift, jnp.float32), jnp.float32(scale)),
        ),
        "crop": (
            torch_published.crop_centre(picture, 22),
            augment.resize(image[3:25, 3:25], 28, 28),
        ),
        "invert": (torch_published.invert(picture), 1 - image),
    }  # fmt: skip
    found = {}
    for name, (theirs, ours) in pairs.items():
        found[name] = np.asarray(torch_published.to_tensor(theirs)[0])
        # One pixel may lie just across an edge: ours has a float32 matrix.
        assert (np.abs(found[name] - np.asarray(ours)) > 1e-6).sum() <= 1, name
    # The negative controls: the other direction, and one step in the place of another.
    other = torch_published.to_tensor(torch_published.rotate(picture, -degrees, 1 / 255))[0].numpy()
    assert (other != found["rotate"]).sum() > 10
    assert (found["affine"] != found["rotate"]).sum() > 10


def test_published_augmentation_draws_what_the_recipe_says(digits: np.ndarray) -> None:
    torch.manual_seed(0)
    picture = Image.fromarray(digits[0])
    plain = torch_published.augmented(picture, Augment())
    exchanged = torch_published.to_tensor(torch_published.invert(picture))
    often = Augment(invert_probability=0.3)
    inverted = [
        torch.equal(torch_published.augmented(picture, often), exchanged) for _ in range(400)
    ]
    assert abs(np.mean(inverted) - 0.3) < 4 * math.sqrt(0.21 / 400)
    noisy = torch_published.augmented(picture, Augment(noise_probability=1.0, noise_sigma=0.15))
    assert (noisy - plain).std().item() == pytest.approx(0.15, rel=0.1)
    # Shifts are whole pixels up to 2, and all of them come up.
    moved = Augment(translate=2 / 28)
    dot = np.zeros((28, 28), np.uint8)
    dot[14, 14] = 255
    spots = [
        tuple(torch_published.augmented(Image.fromarray(dot), moved)[0].nonzero()[0].tolist())
        for _ in range(400)
    ]
    assert {row - 14 for row, _ in spots} == {column - 14 for _, column in spots}
    assert {row - 14 for row, _ in spots} == set(range(-2, 3))


@pytest.mark.parametrize("degrees", [-40.0, -7.0, 11.0])
@pytest.mark.parametrize(("shift", "scale"), [((0, 0), 1.0), ((2, -1), 1.1), ((-2, 1), 0.9)])
def test_tensors_are_mapped_as_pictures_are(
    digits: np.ndarray, degrees: float, shift: tuple[int, int], scale: float
) -> None:
    """But for pixels that lie across an edge: 31 and 20 of 784,000 in the original."""
    differ = wrong = 0
    for digit in digits[:100]:
        degrees += 0.01  # at one angle the same pixel would lie across an edge in all of them
        picture = Image.fromarray(digit)
        image = torch_published.to_tensor(picture)
        mapped = torch_published.warp(image, degrees, shift, scale)
        expected = torch_published.affine(picture, -degrees, shift, scale)
        if (shift, scale) == ((0, 0), 1.0):
            expected = torch_published.rotate(picture, degrees, 0.0)
        differ += (mapped != torch_published.to_tensor(expected)).sum().item()
        other = torch_published.warp(image, degrees + 3, shift, scale)
        wrong += (other != torch_published.to_tensor(expected)).sum().item()
    assert differ <= 50 < 500 < wrong


def test_sequences_are_drawn_once_and_augmented_afresh(digits: np.ndarray) -> None:
    torch.manual_seed(0)
    some = Dataset(digits[:50], np.arange(50).astype(np.uint8) % 10)
    dataset = torch_published.SequenceSet(some, Augment(rotation_degrees=45.0), 3, 10)
    first, second = dataset[3], dataset[3]
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


def test_every_system_loads_with_its_own_processes() -> None:
    workers = {name: torch_published.loader_workers(name) for name in SYSTEMS}
    assert {name for name, count in workers.items() if count == 2} >= {
        "model_1", "model_2", "model_3", *(f"iteration_{i}" for i in range(1, 8)),
    }  # fmt: skip
    assert {workers[name] for name in ("v_1", "v_2", "v_3", "ds_cnn", "swift")} == {0}
    assert workers["seq-generalist"] == (os.cpu_count() or 1) // 2


def test_published_sequences_are_padded_with_black(digits: np.ndarray) -> None:
    torch.manual_seed(0)
    some = Dataset(digits[:50], np.arange(50).astype(np.uint8) % 10)
    dataset = torch_published.SequenceSet(some, Augment(), 3, 40)
    assert len(dataset) == 40
    black = torch_published.normalise(torch.zeros(1)).item()
    lengths = set()
    for number in range(40):
        canvas, labels = dataset[number]
        assert canvas.shape == (1, 28, 84)
        written = int((labels != 10).sum())
        lengths.add(written)
        assert (labels[:written] != 10).all()
        assert np.allclose(canvas[:, :, 28 * written :], black, rtol=1e-6)
        first = digits[:50][np.arange(50) % 10 == int(labels[0])] / 255
        tile = canvas[0, :, :28].numpy() * augment.SD + augment.MEAN
        assert np.abs(first - tile).max((1, 2)).min() < 1e-6
    assert lengths == {1, 2, 3}


@pytest.mark.slow
def test_a_comparison_from_end_to_end(tmp_path: Path) -> None:
    out, chart = tmp_path / "bench.json", tmp_path / "bench.png"
    done = run_python(
        "-m", "jaxmnist", "bench", "--systems", "model_3", "--against", "eager,published",
        "--rounds", "1", "--seconds", "0.01", "--augment", "--source", "digits8x8", "--json",
        "--out", out, "--chart", chart,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads(out.read_text())
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert report.keys() == {
        "rows", "geometric_mean_ratio", "matmul_gflops", "rounds", "threads", "data", "notes",
        "device", "versions", "git_commit",
    }  # fmt: skip
    assert "fallback" in report["data"]
    assert "torch" in report["versions"]
    assert any("augmented once" in note for note in report["notes"])
    (row,) = report["rows"]
    assert (
        row.items() >= {"system": "model_3", "batch_size": 64, "augment": True, "seeds": 1}.items()
    )
    assert list(row["contenders"]) == [OURS, "eager", "published"]
    assert set(row["contenders"]) - {OURS} <= BASELINES.keys()
    for figures in row["contenders"].values():
        rate = figures["examples_per_second"]
        assert 0 < rate["min"] == rate["median"] == rate["max"] == rate["values"][0]
        assert figures["setup_seconds"] > 0
        assert figures["percent_of_peak"] > 0
        mine = row["contenders"][OURS]["examples_per_second"]["median"]
        assert figures["ratio"] == pytest.approx(mine / rate["median"])
    eager = row["contenders"]["eager"]["ratio"]
    assert report["geometric_mean_ratio"]["eager"] == pytest.approx(eager)
    lines = table(report).splitlines()
    assert sum(line.startswith("model_3") for line in lines) == 3
