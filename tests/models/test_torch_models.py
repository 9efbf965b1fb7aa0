"""The published networks against their torch models, with the same weights.

tests/test_torch_training.py compares gradients and whole trainings in double precision.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.data.sources import Source
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.metrics import cross_entropy
from jaxmnist.models.layers import BatchNorm
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.network import Network
from jaxmnist.models.summary import count_parameters, init_variables
from tests.helpers import COMPILE_FAST

torch = pytest.importorskip("torch")

from tests.models.torch_comparison import (  # noqa: E402 - it needs torch
    ARCHITECTURES,
    Answer,
    as_type,
    batch_size_of,
    gradient_errors,
    logits_apart,
    real_batches,
    real_digits,
    torch_answers,
    torch_variables,
    without_dropout,
)
from tests.models.torch_reference import REFERENCES  # noqa: E402 - it needs torch

PARAMETERS = {
    "sequence_published": 9_891_489,
    "model_1": 7_616, "model_2": 7_798, "model_3": 7_762,
    "v_1": 7_720, "v_2": 7_730, "v_3": 8_650,
    "iteration_1": 26_714, "iteration_2": 24_210, "iteration_3": 18_374, "iteration_4": 20_514,
    "iteration_5": 18_422, "iteration_6": 18_422, "iteration_7": 18_422,
    "ds_cnn": 17_418,
}  # fmt: skip
ONE_A_FAMILY = ("ds_cnn", "iteration_5", "model_2", "sequence_published", "v_1")
QUICK_LOGITS = ("model_2", "sequence_published", "v_1")
QUICK_GRADIENTS = ("model_2",)


def slow_unless(name: str, quick: tuple[str, ...]) -> list[pytest.MarkDecorator]:
    return [] if name in quick else [pytest.mark.slow]


def test_every_published_network_has_its_exact_size_and_a_torch_model() -> None:
    assert ARCHITECTURES.keys() == PARAMETERS.keys() == REFERENCES.keys()
    for name, architecture in ARCHITECTURES.items():
        width = 28 * architecture.heads
        network = Network(architecture, LAYOUTS["chwn"])
        shapes = jax.eval_shape(
            lambda key, n=network, w=width: init_variables(n, key, 28, w), jax.random.key(0)
        )
        assert count_parameters(shapes["params"]) == PARAMETERS[name]
        model = REFERENCES[name]()
        assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
        # Comparisons in training leave dropout out, so where it stands is compared here.
        ours = [getattr(layer, "rate", None) for layer in architecture.layers]
        assert ours == [m.p if isinstance(m, torch.nn.Dropout) else None for m in model]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=slow_unless(name, QUICK_LOGITS)) for name in sorted(ARCHITECTURES)],
)
def test_logits_are_the_torch_models(name: str) -> None:
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    model = REFERENCES[name]()
    images = torch.randn(4, 1, 28, 28 * architecture.heads)
    with torch.no_grad():
        model(images)  # in training mode, so that the running statistics are no longer 0 and 1
        theirs = model.eval()(images).numpy().reshape(4, architecture.heads, -1)
    variables = torch_variables(architecture, model)
    # The negative control: one weight of the first convolution changed by a hundredth of its sd.
    kernel = variables["params"]["conv1"]["kernel"]
    other = kernel.at[1, 1, 0, 0].add(0.01 * kernel.std() + 0.01)
    changed = variables["params"] | {"conv1": variables["params"]["conv1"] | {"kernel": other}}
    # The scale is that of the logits; sums of up to 18,816 float32 terms run in another order.
    scale = np.abs(theirs).max()
    for layout in LAYOUTS.values():
        network = Network(architecture, layout)
        apply = jax.jit(
            lambda v, n=network: n.apply(v, jnp.asarray(images[:, 0].numpy()), train=False),
            compiler_options=COMPILE_FAST,
        )
        np.testing.assert_allclose(apply(variables), theirs, rtol=0, atol=2e-6 * scale)
        assert np.abs(apply(variables | {"params": changed}) - theirs).max() > 2e-6 * scale


# Of all networks tests/test_torch_training.py holds chwn in float64, and tests/test_experiment.py
# the whole compiled step in single precision, less closely than here.
GRADIENTS = [
    *((name, "chwn", "float32") for name in ONE_A_FAMILY),
    *((name, "nhwc", "float64") for name in ONE_A_FAMILY),
    ("iteration_5", "nhwc", "float32"),
]


@pytest.mark.parametrize(
    ("name", "layout", "dtype"),
    [
        pytest.param(
            *each, marks=slow_unless(each[0], QUICK_GRADIENTS if each[1] == "chwn" else ())
        )
        for each in GRADIENTS
    ],
)
def test_logits_gradients_and_statistics_in_training_are_the_torch_models(
    name: str, layout: str, dtype: str, source: Source
) -> None:
    architecture, model = without_dropout(name)
    network = Network(architecture, LAYOUTS[layout])
    start = torch_variables(architecture, model)
    size = batch_size_of(architecture)
    digits = real_digits(source, 3 * size * architecture.heads)
    batches = real_batches(digits, architecture, size)
    theirs = {each: torch_answers(model, batches, each) for each in ("float32", "float64")}

    def loss_fn(params, batch_stats, images, labels):
        logits, changed = network.apply(
            {"params": params, "batch_stats": batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
        )
        return cross_entropy(logits, labels).mean(), (logits, changed.get("batch_stats", {}))

    options = {} if dtype == "float32" else COMPILE_FAST  # as runs compile it
    run = jax.jit(jax.grad(loss_fn, has_aux=True), compiler_options=options)

    def ours(change: float = 0.0) -> list[Answer]:
        answers = []
        with jax.enable_x64(dtype == "float64"):
            variables = as_type(start, dtype)
            kernel = variables["params"]["conv1"]["kernel"]
            variables["params"]["conv1"]["kernel"] = kernel.at[1, 1, 0, 0].add(change)
            for images, labels in batches:
                gradients, (logits, stats) = run(
                    variables["params"], variables["batch_stats"], images.astype(dtype), labels
                )
                assert logits.dtype == dtype
                state = to_state_dict(architecture, {"params": gradients, "batch_stats": stats})
                answers.append((np.asarray(logits), state))
        return answers

    answers, references = ours(), theirs[dtype]
    errors = gradient_errors(architecture, answers, theirs["float64"])
    print(f"{name} {layout} {dtype}: logits {logits_apart(answers, references):.1e}, ", end="")
    print(f"gradients {np.median(errors):.1e} to {max(errors):.1e}")
    if dtype == "float64":
        # Thousands of roundings of 1e-16 each; PyTorch's own normalisation of a batch is off by
        # 2e-14 in double precision.
        assert logits_apart(answers, references) <= 1e-11
        assert max(errors) <= 1e-10
        # The negative control: one weight of the first convolution.
        answers = ours(change=1e-6)
        assert logits_apart(answers, references) > 1e-11
        assert min(gradient_errors(architecture, answers, references)) > 1e-10
        return

    # PyTorch's own gradient through batch normalisation is off by up to 1e-4 of a leaf's largest
    # entry, so that ours is held against double precision: within 1e-5, or PyTorch's own error
    # where that is larger (on processors without AVX-512 both were off by up to 3e-5). The median
    # of three batches, as in one of twenty rounding decides about a value next to a ReLU's zero or
    # a tie in a pool: the derivative jumps there (by 2e-2 of the whole, once, with two sequences a
    # batch).
    torchs = np.median(gradient_errors(architecture, references, theirs["float64"]))
    print(f"PyTorch's float32 gradients {torchs:.1e}")
    assert logits_apart(answers, references) <= 2e-6
    assert np.median(errors) <= max(1e-5, torchs)
    answers = ours(change=0.05)  # the negative control
    assert logits_apart(answers, references) > 2e-6
    assert np.median(gradient_errors(architecture, answers, theirs["float64"])) > 1e-4

    # Running statistics after all batches, by the same compiled function.
    if not any(isinstance(layer, BatchNorm) for layer in architecture.layers):
        return
    stats = start["batch_stats"]
    for images, labels in batches:
        _, (_, stats) = run(start["params"], stats, images.astype(dtype), labels)
    state = to_state_dict(architecture, {"params": start["params"], "batch_stats": stats})
    found = statistics_apart(name, state, batches)
    print(f"{name} {layout} statistics: {found}")
    # float32 sums of at most 6,272 terms, through the whole network.
    assert max(found.values()) <= 3e-6
    # Negative controls: another momentum; and every image twice, which leaves mean and biased
    # variance as they are, so that only an unbiased variance tells.
    assert statistics_apart(name, state, batches, momentum=0.1001)["running_mean"] > 3e-6
    twice = statistics_apart(name, state, [(np.concatenate([x, x]), y) for x, y in batches])
    assert twice["running_mean"] <= 3e-6 < twice["running_var"]


def statistics_apart(
    name: str,
    ours: dict[str, np.ndarray],
    batches: list[tuple[np.ndarray, np.ndarray]],
    momentum: float = 0.1,
) -> dict[str, float]:
    """The largest difference of each kind of running statistics after training batches.

    It is measured by the largest of a layer's statistics: a mean may be near zero by chance.
    """
    _, model = without_dropout(name)
    for module in model:
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = momentum
    with torch.no_grad():
        for images, _ in batches:
            model(torch.from_numpy(images).float()[:, None])
    worst = {"running_mean": 0.0, "running_var": 0.0, "num_batches_tracked": 0.0}
    for key, tensor in model.state_dict().items():
        end = key.split(".")[-1]
        if end in worst:
            error = np.abs(ours[key] - tensor.numpy()).max() / np.abs(tensor.numpy()).max()
            worst[end] = max(worst[end], float(error))
    return worst
