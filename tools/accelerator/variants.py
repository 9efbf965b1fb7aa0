"""Variants of our own train step: layout, form of the convolution, bfloat16.

A network takes its operations from a layout, so that a variant is a layout more, and the train step
is the project's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxmnist.bench.interleave import Runner
from jaxmnist.bench.ours import prepare_ours
from jaxmnist.bench.workload import Workload
from jaxmnist.data.dataset import Dataset
from jaxmnist.experiment import Experiment
from jaxmnist.models.layout import CHWN, NHWC, Layout
from jaxmnist.state import TrainState
from tools.accelerator.equality import Outputs, compare, make_batch, outputs, random_variables
from tools.accelerator.plan import REAL


@dataclass(frozen=True)
class NHWCPatches(NHWC):
    """NHWC with the convolution as one matrix product with all shifted slices (im2col)."""

    name = "nhwc_im2col"

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        kh, kw, channels, features = kernel.shape
        x = jnp.pad(x, ((0, 0), *((zeros, zeros) for zeros in padding), (0, 0)))
        height, width = x.shape[1] - kh + 1, x.shape[2] - kw + 1
        shifted = [x[:, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
        return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(kh * kw * channels, features)


@dataclass(frozen=True)
class CHWNConv(CHWN):
    """CHWN with the compiler's own convolution."""

    name = "chwn_conv"

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(1, 1),
            padding=[(zeros, zeros) for zeros in padding],
            dimension_numbers=("CHWN", "HWIO", "CHWN"),
        )


@dataclass(frozen=True)
class NHWCBfloat16Products(NHWC):
    """NHWC whose products take bfloat16 factors; everything between them stays float32."""

    name = "nhwc_bf16_products"

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        return super().conv(_half(x), _half(kernel), padding).astype(jnp.float32)

    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        return super().dense(_half(x), _half(kernel)).astype(jnp.float32)


@dataclass(frozen=True)
class NHWCBfloat16(NHWC):
    """NHWC with bfloat16 feature maps; parameters, statistics, logits and loss stay float32."""

    name = "nhwc_bf16"

    def from_images(self, images: Float[Array, "batch height width"]) -> Array:
        return _half(super().from_images(images))

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        return super().conv(x, _half(kernel), padding)

    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        return super().dense(x, _half(kernel))

    def moments(self, x: Array) -> tuple[Float[Array, " features"], Float[Array, " features"], int]:
        return super().moments(x.astype(jnp.float32))

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        return _half(super().per_feature(vector, ndim))

    def to_logits(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        return super().to_logits(x, heads, classes).astype(jnp.float32)


def _half(x: Array) -> Array:
    return x.astype(jnp.bfloat16)


# Layout, and the precision of products; the first one is what the project runs on a GPU.
VARIANTS: dict[str, tuple[Layout, str]] = {
    "nhwc, conv": (NHWC(), "default"),
    "nhwc, conv, highest precision": (NHWC(), "highest"),
    "nhwc, im2col": (NHWCPatches(), "default"),
    "chwn, conv": (CHWNConv(), "default"),
    "chwn, im2col": (CHWN(), "default"),
    "nhwc, conv, precision bfloat16": (NHWC(), "bfloat16"),
    "nhwc, conv, bfloat16 products": (NHWCBfloat16Products(), "default"),
    "nhwc, conv, bfloat16 maps": (NHWCBfloat16(), "default"),
}


@dataclass(frozen=True)
class VariantExperiment(Experiment):
    """An experiment with another layout, whose state begins as that of `base`, in float32."""

    base: Experiment

    def init_fn(self) -> Callable[[int], TrainState]:
        # A layout with bfloat16 maps would begin with bfloat16 statistics, and go on in float32.
        return self.base.init_fn()


@dataclass(frozen=True)
class Variant:
    """A way to compute the train step of a workload."""

    name: str
    work: Workload
    layout: Layout
    precision: str
    reference: Callable[[], Outputs]

    def prepare(self) -> Runner:
        """Compiles the train step."""
        base = self.work.experiment
        spec = replace(base.spec, network=base.network.clone(layout=self.layout))
        experiment = VariantExperiment(
            base.config, base.splits, base.task, spec, base.mesh, base.initial, base
        )
        work = replace(self.work, experiment=experiment)
        with jax.default_matmul_precision(self.precision):
            return prepare_ours(work)

    def errors(self) -> dict[str, float] | str:
        """Returns how far logits and gradients are from float32's, on one batch."""
        try:
            return compare(self.outputs(), self.reference())
        except Exception as error:  # one that cannot be compiled here is in `failed`, too
            return f"{type(error).__name__}: {error}"

    def outputs(self) -> Outputs:
        """Computes one batch."""
        network = self.work.experiment.network.clone(layout=self.layout)
        test = self.work.experiment.splits.test
        batch = make_batch(network, Dataset(test.images, test.labels), REAL)
        with jax.default_matmul_precision(self.precision):
            return outputs(network, random_variables(network), batch)


def variants(work: Workload, names: Sequence[str]) -> list[Variant]:
    """Returns variants of a workload; their errors are told from NHWC in highest precision."""
    exact = Exact(work)
    return [Variant(name, work, *VARIANTS[name], lambda: exact.outputs) for name in names]


@dataclass(frozen=True)
class Exact:
    """What the variants are compared with, computed once."""

    work: Workload

    @cached_property
    def outputs(self) -> Outputs:
        """Computes one batch in float32."""
        return Variant("", self.work, NHWC(), "highest", lambda: self.outputs).outputs()
