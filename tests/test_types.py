"""The annotations of shapes and dtypes are executed in these tests (jaxtyping with beartype)."""

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from jaxmnist.metrics import cross_entropy
from jaxmnist.models.layout import LAYOUTS

LOGITS, LABELS = jnp.zeros((4, 3, 11)), jnp.zeros((4, 3), jnp.int32)


def test_right_shapes_pass() -> None:
    assert cross_entropy(LOGITS, LABELS).shape == (4,)


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS[:, 0], LABELS.astype(jnp.float32)])
def test_a_wrong_shape_or_dtype_is_caught(labels) -> None:
    """The first would broadcast, or fail far away; the last would be rounded."""
    with pytest.raises(TypeCheckError):
        cross_entropy(LOGITS, labels)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_kernel_with_other_axes_is_caught(layout: str) -> None:
    with pytest.raises(TypeCheckError):
        LAYOUTS[layout].conv(jnp.zeros((4, 8, 8, 4)), jnp.zeros((3, 3, 4)), 1)
