"""Layers against PyTorch's, in both array layouts, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.models.cpu_conv import TALL, WIDE
from jaxmnist.models.layers import BatchNorm
from jaxmnist.models.layout import LAYOUTS
from tests.helpers import COMPILE_FAST

torch = pytest.importorskip("torch")


def test_flatten_is_pytorchs_order() -> None:
    maps = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # batch, channel, h, w
    theirs = torch.from_numpy(maps).flatten(1).numpy()
    minor = LAYOUTS["chwn"].flatten(jnp.asarray(maps.transpose(1, 2, 3, 0))).T
    last = LAYOUTS["nhwc"].flatten(jnp.asarray(maps.transpose(0, 2, 3, 1)))
    np.testing.assert_array_equal(minor, theirs)
    np.testing.assert_array_equal(last, theirs)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("padding", [0, 1])
def test_convolution_and_pool_are_pytorchs(layout: str, padding: int) -> None:
    ops = LAYOUTS[layout]
    random = np.random.RandomState(0)
    images = random.randn(2, 11, 13).astype(np.float32)
    kernel = random.randn(3, 3, 1, 4).astype(np.float32)
    theirs = torch.nn.functional.max_pool2d(
        torch.nn.functional.conv2d(
            torch.from_numpy(images)[:, None],
            torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()),
            padding=padding,
        ),
        2,
    ).numpy()

    def run(kernel: np.ndarray) -> np.ndarray:
        x = ops.conv(ops.from_images(jnp.asarray(images)), jnp.asarray(kernel), (padding, padding))
        x = ops.max_pool(x, 2)
        return np.asarray(jnp.moveaxis(x, (ops.batch_axis, ops.feature_axis), (0, 1)))

    np.testing.assert_allclose(run(kernel), theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())
    kernel[0, 0, 0, 0] += 0.01
    assert np.abs(run(kernel) - theirs).max() > 1e-3


@pytest.mark.parametrize(
    ("height", "width", "size", "channels", "padding"),
    [
        # In pairs of rows.
        *((8, 5, 3, WIDE, 0), (9, 6, 3, WIDE, 0), (8, 6, 3, WIDE, 1), (9, 5, 3, WIDE, 1)),
        # In halves, from an even or odd number of rows.
        *((TALL + 3, 6, 3, 1, 0), (TALL + 3, 6, 3, 3, 1), (TALL + 2, 6, 3, 3, 0)),
        *((TALL + 5, 6, 5, 1, 1), (TALL + 5, 6, 5, 3, 0), (TALL + 4, 6, 5, 3, 1)),
    ],
)
def test_convolutions_in_every_form_are_pytorchs(
    height: int, width: int, size: int, channels: int, padding: int
) -> None:
    """Wide layers and large maps take forms of their own: an odd last row must come out, too."""
    random = np.random.RandomState(height * width)
    images = random.randn(2, channels, height, width)
    kernel = random.randn(size, size, channels, channels + 1)
    theirs = torch.nn.functional.conv2d(
        torch.from_numpy(images),
        torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()),
        padding=padding,
    ).numpy()

    conv = jax.jit(
        lambda x, kernel: LAYOUTS["chwn"].conv(x, kernel, (padding, padding)),
        compiler_options=COMPILE_FAST,
    )

    def run(kernel: np.ndarray, dtype: type) -> np.ndarray:
        with jax.enable_x64(dtype is np.float64):
            x = jnp.asarray(images.transpose(1, 2, 3, 0), dtype)
            out = conv(x, jnp.asarray(kernel, dtype))
            return np.asarray(out).transpose(3, 0, 1, 2)

    def difference(kernel: np.ndarray, dtype: type) -> float:
        return float(np.abs(run(kernel, dtype) - theirs).max() / np.abs(theirs).max())

    assert difference(kernel, np.float64) < 1e-14  # the same sum in another order
    assert difference(kernel, np.float32) < 2e-6  # of 288 rounded products
    kernel[2, 1, 0, 0] += 0.01
    assert difference(kernel, np.float64) > 1e-5


def test_batch_norm_keeps_pytorchs_running_statistics() -> None:
    random = np.random.RandomState(0)
    theirs = torch.nn.BatchNorm2d(3)
    layer = BatchNorm()
    layout = LAYOUTS["chwn"]
    example = jnp.zeros((3, 4, 5, 2))
    variables = layer.init(jax.random.key(0), example, layout=layout, train=True)
    for _ in range(3):
        batch = (2 * random.randn(2, 3, 4, 5) + 1).astype(np.float32)
        expected = theirs(torch.from_numpy(batch)).detach().numpy()
        x = jnp.asarray(batch.transpose(1, 2, 3, 0))
        out, changed = layer.apply(variables, x, layout=layout, train=True, mutable=["batch_stats"])
        variables = variables | changed
        np.testing.assert_allclose(out.transpose(3, 0, 1, 2), expected, atol=3e-6)
    stats = variables["batch_stats"]
    np.testing.assert_allclose(stats["mean"], theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], theirs.running_var.numpy(), rtol=1e-5)
    # The negative control: with the biased variance the two would part by 1/40 of the new share.
    assert not np.allclose(stats["var"] * (1 - 0.027 / 40), theirs.running_var.numpy(), rtol=1e-5)
