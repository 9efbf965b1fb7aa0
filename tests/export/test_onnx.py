"""Networks as ONNX files, run by onnxruntime, give our logits."""

import numpy as np
import pytest

from jaxmnist.export.files import need
from jaxmnist.models.layers import Layer
from jaxmnist.models.zoo import MODELS, find_architecture
from tests.export.networks import (
    QUICK,
    TOLERANCE,
    apart,
    digit_images,
    kinds,
    our_logits,
    perturbed,
    slow_unless_quick,
    widths_of,
)
from tools.samples import drawn_weights

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from jaxmnist.export.onnx_graph import to_onnx  # noqa: E402 - it needs onnx
from jaxmnist.export.onnx_int8 import start, to_int8  # noqa: E402 - it needs onnx


@pytest.mark.parametrize("name", slow_unless_quick({*MODELS, *QUICK}))
def test_logits_are_ours_at_every_batch_and_width(name: str, digits: np.ndarray) -> None:
    architecture = find_architecture(name, 3)
    weights = drawn_weights(architecture)
    model = to_onnx(architecture, weights)
    onnx.checker.check_model(model, full_check=True)
    run = start(model, threads=1)
    for width in widths_of(architecture):
        images = digit_images(digits, width)
        ours = our_logits(architecture, weights, images)
        assert apart(run(images), ours) <= TOLERANCE
        assert np.abs(run(images[:1]) - ours[:1]).max() <= TOLERANCE * np.abs(ours).max()
    # The negative control: one number of the last convolution.
    changed = start(to_onnx(architecture, perturbed(architecture, weights)), threads=1)
    assert apart(changed(images), ours) > 10 * TOLERANCE


def test_quick_networks_have_every_kind_of_layer() -> None:
    assert kinds(QUICK) == set(Layer.__subclasses__())


def test_blank_pages_and_inverted_ones(digits: np.ndarray) -> None:
    """Where local contrast divides by almost nothing, and where it turns the sign."""
    architecture = find_architecture("sequence_ctc_small")
    weights = drawn_weights(architecture)
    run = start(to_onnx(architecture, weights), threads=1)
    digit = digit_images(digits, 28, 1)
    images = np.concatenate([np.zeros_like(digit), np.ones_like(digit), digit, 1 - digit])
    logits = run(images)
    assert apart(logits, our_logits(architecture, weights, images)) <= TOLERANCE
    assert apart(logits[1:], logits[:-1]) > 1e-3
    np.testing.assert_allclose(logits[2], logits[3], atol=1e-4)


def test_a_layer_without_nodes_is_noticed() -> None:
    from jaxmnist.models.network import Architecture

    class Unknown(Layer):
        def __call__(self, x, *, layout, train):
            return x

    architecture = Architecture((Unknown(), *find_architecture("model_3").layers), 1, 10)
    with pytest.raises(TypeError, match="Unknown has no ONNX nodes yet"):
        to_onnx(architecture, drawn_weights(architecture))


@pytest.mark.parametrize("name", ["iteration_1", "model_3", "sequence_compact", "seq"])
def test_bytes_answer_almost_as_floats_do(name: str, digits: np.ndarray) -> None:
    architecture = find_architecture(name, 3)
    model = to_onnx(architecture, drawn_weights(architecture))
    before = model.SerializeToString()
    images = digit_images(digits, widths_of(architecture)[-1], 100)
    small = to_int8(model, iter([images[:50]]))
    assert model.SerializeToString() == before
    onnx.checker.check_model(small, full_check=True)
    assert not small.graph.value_info
    assert len(small.SerializeToString()) < len(before)
    layers = [node for node in small.graph.node if node.op_type in ("Conv", "Gemm")]
    written = {name for node in small.graph.node for name in node.output}
    for layer in layers:  # all of them have weights in bytes
        assert layer.input[1] in written
    # The sums of the last one are not rounded.
    reading = [node.op_type for node in small.graph.node if layers[-1].output[0] in node.input]
    assert "QuantizeLinear" not in reading
    floats, quantised = start(model, 1)(images), start(small, 1)(images)
    error = np.sqrt(np.square(quantised - floats).mean()) / floats.std()
    assert 1e-4 < error < 0.05  # 8 bits a tensor, layer after layer; and it is not float32


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxmnist.errors import UserError

    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UserError, match=r"needs onnx: pip install 'jaxmnist\[export\]'"):
        need("onnx")
