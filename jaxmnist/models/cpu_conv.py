"""The convolution on a CPU: im2col or Winograd, and one matrix product (layout CHWN).

XLA's own CPU convolution loses its fast path inside `lax.scan`; these forms run there at the speed
of the matrix product. Plain differentiation of them is the fastest backward pass that was found.
"""

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxmnist.xla import no_inline

WIDE = 32  # channels, in and out, from which Winograd's form was faster on a CPU
TALL = 20  # rows of the result, from which two halves were faster than the whole


def conv(
    x: Float[Array, "cin height width batch"],
    kernel: Float[Array, "kh kw cin cout"],
    padding: tuple[int, int],
) -> Float[Array, "cout outheight outwidth batch"]:
    """Cross-correlates with stride 1, in the fastest form.

    `padding` counts the zeros above and below, and those left and right.

    Between wide layers the product is what takes the time, and Winograd's form saves a third of it.
    On large maps it is the copying of slices, of which a third is enough, and on the largest it
    goes half by half, so that the slices stay in a core's cache.
    """
    x = no_inline(_padded, x, padding)
    if kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= WIDE:
        return _winograd(x, kernel)
    kh, _, channels, _ = kernel.shape
    rows = x.shape[1] - kh + 1
    if kh == 1 or rows < TALL:
        return _im2col(x, kernel)
    half = _im2col if channels == 1 else _sideways_im2col
    upper = half(x[:, : rows // 2 + kh - 1], kernel)
    return jnp.concatenate([upper, half(x[:, rows // 2 :], kernel)], axis=1)


def images_to_chwn(images: Float[Array, "batch height width"]) -> Array:
    """Turns one-channel images into a feature map with the batch last."""
    return no_inline(_batch_last, images)


# Both are calls in the compiled program: else what computes their argument (the noise of an image,
# the mask of a dropout) would be computed again for every one of the shifted slices of the result.
@jax.jit
def _batch_last(images: Float[Array, "batch height width"]) -> Array:
    return jnp.moveaxis(images, 0, -1)[None]


@partial(jax.jit, static_argnums=1)
def _padded(x: Float[Array, "channels height width batch"], padding: tuple[int, int]) -> Array:
    rows, columns = padding
    return jnp.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))


def _im2col(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "kh kw cin cout"]
) -> Float[Array, "cout outheight outwidth batch"]:
    """Cross-correlates as one matrix product with all shifted slices of `x`."""
    kh, kw, channels, features = kernel.shape
    _, height, width, batch = x.shape
    height, width = height - kh + 1, width - kw + 1
    shifted = [x[:, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
    patches = jnp.concatenate(shifted, axis=0).reshape(kh * kw * channels, -1)
    # The reshape to two dimensions matters: the same product as an einsum is 3.7 times slower.
    out = kernel.reshape(kh * kw * channels, features).T @ patches
    return out.reshape(features, height, width, batch)


def _sideways_im2col(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "kh kw cin cout"]
) -> Float[Array, "cout outheight outwidth batch"]:
    """Cross-correlates as one matrix product with the slices of `x` that are shifted sideways.

    Every row of the kernel gives a result of its own; these are added, each from its own height.
    """
    kh, kw, channels, features = kernel.shape
    _, height, width, batch = x.shape
    rows, width = height - kh + 1, width - kw + 1
    patches = jnp.concatenate([x[:, :, j : j + width] for j in range(kw)], axis=0)
    matrix = kernel.transpose(0, 3, 1, 2).reshape(kh * features, kw * channels)
    out = (matrix @ patches.reshape(kw * channels, -1)).reshape(-1, height, width, batch)
    # Not slices: the gradient of a split is a concatenation, that of slices a slow sum of pads.
    results = enumerate(lax.split(out, (features,) * kh))
    return reduce(jnp.add, [result[:, i : i + rows] for i, result in results])


def _winograd(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "3 3 cin cout"]
) -> Float[Array, "cout height-2 width-2 batch"]:
    """Cross-correlates with F(2, 3) of Lavin & Gray (2016, arXiv:1509.09308) along the height.

    Two rows of the result come from four products instead of six. Rounding errors are no larger
    than those of `_im2col`. In both directions at once it would be four instead of nine, but the
    sums before and after the products take more time than that saves.
    """
    rows = x.shape[1] - 2
    x = jnp.pad(x, ((0, 0), (0, rows % 2), (0, 0), (0, 0)))
    a, b, c, d = (x[:, i : i + rows : 2] for i in range(4))
    top, middle, bottom = kernel[:, None]
    first, second, third, fourth = (
        _im2col(a - c, top),
        _im2col(b + c, (top + middle + bottom) / 2),
        _im2col(c - b, (top - middle + bottom) / 2),
        _im2col(b - d, bottom),
    )
    pairs = jnp.stack([first + second + third, second - third - fourth], axis=2)
    return pairs.reshape(pairs.shape[0], -1, *pairs.shape[3:])[:, :rows]
