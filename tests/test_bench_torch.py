"""PyTorch's side of the comparison: networks like ours, Pillow's transforms, a whole race."""

import json
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import common
from jaxmnist.bench.options import OURS, RIVALS, Options
from jaxmnist.bench.report import table
from jaxmnist.bench.workload import make_workload
from jaxmnist.data.sources import Labelled
from jaxmnist.generate import transforms
from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import find_architecture
from jaxmnist.models.network import Network
from jaxmnist.models.table import init_variables
from jaxmnist.models.torch_layout import to_state_dict
from tests.helpers import run_python

torch = pytest.importorskip("torch")

from jaxmnist.bench import torch_published  # noqa: E402 - it needs torch
from jaxmnist.bench.torch_side import batches, make_trainees  # noqa: E402 - it needs torch
from jaxmnist.bench.torch_twin import build_twin  # noqa: E402 - it needs torch

RANDOM = np.random.RandomState(3)


def one_matrix(state: dict[str, np.ndarray], last: int) -> dict[str, "torch.Tensor"]:
    """A state dict with the linear layers of several heads, `last.0`, `last.1`, ..., as one."""
    found = {name: torch.from_numpy(array) for name, array in state.items()}
    for end in ("weight", "bias"):
        parts = sorted(n for n in found if n.startswith(f"{last}.") and n.count(".") == 2)
        if rows := [found.pop(name) for name in parts if name.endswith(end)]:
            found[f"{last}.{end}"] = torch.cat(rows)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "v_1", "model_2", "model_3", "iteration_7", "ds_cnn", "sequence_compact",
        "sequence_published",
    ],
)  # fmt: skip
def test_the_twin_is_our_network(name: str) -> None:
    architecture = find_architecture(name, 3)
    width = 28 * architecture.heads
    network = Network(architecture, BACKENDS["batch_minor"])
    images = RANDOM.normal(size=(4, 28, width)).astype(np.float32)
    init = jax.jit(lambda key: init_variables(network, key, 28, width))
    variables = init(jax.random.key(1))
    # A batch in training, so that the running statistics are no longer 0 and 1.
    train = partial(network.apply, train=True, mutable=["batch_stats"])
    variables |= jax.jit(train)(variables, images, rngs={"dropout": jax.random.key(2)})[1]
    ours = np.asarray(jax.jit(partial(network.apply, train=False))(variables, images))

    twin = build_twin(architecture, 28, width).eval()
    state = one_matrix(to_state_dict(architecture, variables), len(architecture.layers) - 1)
    twin.load_state_dict(state)

    def theirs() -> np.ndarray:
        with torch.no_grad():
            logits = twin(torch.from_numpy(images)[:, None]).numpy()
        assert logits.shape == (4 * architecture.heads, architecture.classes)
        return logits.reshape(ours.shape)

    # The scale is that of the logits; float32 sums run in another order.
    scale = np.abs(ours).max()
    assert np.abs(theirs() - ours).max() <= 3e-6 * scale
    # The negative twin: one weight of the first convolution.
    with torch.no_grad():
        twin[0].weight[0, 0, 1, 1] += 0.01
    assert np.abs(theirs() - ours).max() > 3e-6 * scale


@pytest.mark.parametrize(
    ("system", "kind"), [("v_1", torch.optim.SGD), ("ds_cnn", torch.optim.Adam)]
)
def test_a_trainee_learns_with_the_recipes_optimizer(system: str, kind: type) -> None:
    work = make_workload(system, 16, Options(source="digits8x8", seeds=2))
    assert work.ready is not None
    first, second = make_trainees(work)
    assert type(first.optimizer) is kind
    rate = work.settings["schedule"]["learning_rate"]
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
    (trainee,) = make_trainees(work)
    loss = trainee.step(images[:, None], labels.long()).item()
    assert loss == pytest.approx(3 * math.log(11), rel=0.15)  # by guessing, three times


def test_batches_go_through_every_example_once_an_epoch() -> None:
    found = list(batches(12, 4, 7, torch.device("cpu")))
    assert [len(batch) for batch in found] == [4] * 7
    for epoch in (found[:3], found[3:6]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(12))
    assert torch.cat(found[:3]).tolist() != torch.cat(found[3:6]).tolist()


def test_published_images_without_augmentation_are_ours(digits: np.ndarray) -> None:
    augment = common.base().augment.to_dict()
    labelled = Labelled(digits[:50], np.arange(50).astype(np.uint8) % 10)
    dataset = torch_published.DigitSet(labelled, augment)
    theirs = np.stack([dataset[number][0][0].numpy() for number in range(len(dataset))])
    ours = transforms.normalise(jnp.asarray(digits[:50], jnp.float32) / 255)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)
    assert [dataset[number][1] for number in range(50)] == labelled.labels.tolist()


@pytest.mark.parametrize("degrees", [-30.0, 7.0])
def test_published_steps_are_ours(digits: np.ndarray, degrees: float) -> None:
    image = jnp.asarray(digits[0], jnp.float32) / 255
    picture = Image.fromarray(digits[0])
    angle = jnp.radians(degrees)
    shift, scale = (2, -1), 1.1
    pairs = {
        "rotate": (
            torch_published.rotate(picture, degrees, 1 / 255),
            transforms.rotate(image, angle, 1 / 255),
        ),
        "affine": (
            torch_published.affine(picture, degrees, shift, scale),
            transforms.affine(image, angle, jnp.array(shift, jnp.float32), jnp.float32(scale)),
        ),
        "crop": (
            torch_published.crop_centre(picture, 22),
            transforms.resize(image[3:25, 3:25], 28, 28),
        ),
        "invert": (torch_published.invert(picture), 1 - image),
    }  # fmt: skip
    found = {}
    for name, (theirs, ours) in pairs.items():
        found[name] = np.asarray(torch_published.to_tensor(theirs)[0])
        # One pixel may lie just across an edge: ours has a float32 matrix.
        assert (np.abs(found[name] - np.asarray(ours)) > 1e-6).sum() <= 1, name
    # The negative twins: the other direction, and one step in the place of another.
    other = torch_published.to_tensor(torch_published.rotate(picture, -degrees, 1 / 255))[0].numpy()
    assert (other != found["rotate"]).sum() > 10
    assert (found["affine"] != found["rotate"]).sum() > 10


def test_published_augmentation_draws_what_the_recipe_says(digits: np.ndarray) -> None:
    torch.manual_seed(0)
    picture = Image.fromarray(digits[0])
    augment = common.base().augment.to_dict()
    plain = torch_published.augmented(picture, augment)
    inverted = [
        bool(torch.equal(torch_published.augmented(picture, augment | {"invert_probability": 0.3}),
                         torch_published.to_tensor(torch_published.invert(picture))))
        for _ in range(400)
    ]  # fmt: skip
    assert abs(np.mean(inverted) - 0.3) < 4 * math.sqrt(0.21 / 400)
    noisy = torch_published.augmented(
        picture, augment | {"noise_probability": 1.0, "noise_sigma": 0.15}
    )
    assert (noisy - plain).std().item() == pytest.approx(0.15, rel=0.1)
    # Shifts are whole pixels up to 2, and all of them come up.
    moved = augment | {"translate": 2 / 28}
    dot = np.zeros((28, 28), np.uint8)
    dot[14, 14] = 255
    spots = [
        tuple(torch_published.augmented(Image.fromarray(dot), moved)[0].nonzero()[0].tolist())
        for _ in range(400)
    ]
    assert {row - 14 for row, _ in spots} == {column - 14 for _, column in spots}
    assert {row - 14 for row, _ in spots} == set(range(-2, 3))


def test_published_sequences_are_padded_with_black(digits: np.ndarray) -> None:
    torch.manual_seed(0)
    labelled = Labelled(digits[:50], np.arange(50).astype(np.uint8) % 10)
    dataset = torch_published.SequenceSet(labelled, common.base().augment.to_dict(), 3, 40)
    assert len(dataset) == 40
    black = torch_published.normalise(torch.zeros(1)).item()
    lengths = set()
    for number in range(40):
        canvas, labels = dataset[number]
        assert canvas.shape == (1, 28, 84)
        written = int((labels != 10).sum())
        lengths.add(written)
        assert (labels[:written] != 10).all()
        assert (canvas[:, :, 28 * written :] == black).all()
        first = digits[:50][np.arange(50) % 10 == int(labels[0])] / 255
        tile = canvas[0, :, :28].numpy() * transforms.SD + transforms.MEAN
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
    assert "stand-in" in report["data"]
    assert "torch" in report["versions"]
    assert any("augmented once" in note for note in report["notes"])
    (row,) = report["rows"]
    assert (
        row.items() >= {"system": "model_3", "batch_size": 64, "augment": True, "seeds": 1}.items()
    )
    assert list(row["contenders"]) == [OURS, "eager", "published"]
    assert set(row["contenders"]) - {OURS} <= RIVALS.keys()
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
