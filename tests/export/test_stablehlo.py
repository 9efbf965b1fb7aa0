"""Networks as StableHLO programs give our logits, after the way to bytes and back."""

import jax
import numpy as np
import pytest

from jaxmnist.export.stablehlo import PLATFORMS, to_stablehlo
from jaxmnist.models.zoo import MODELS, find_architecture
from tests.export.networks import (
    QUICK,
    TOLERANCE,
    apart,
    digit_images,
    our_logits,
    perturbed,
    slow_unless_quick,
    widths_of,
)
from tools.samples import drawn_weights

pytest.importorskip("flatbuffers")


@pytest.mark.parametrize("name", slow_unless_quick({*MODELS, *QUICK}))
def test_logits_are_ours_after_a_round_trip(name: str, digits: np.ndarray) -> None:
    architecture = find_architecture(name, 3)
    weights = drawn_weights(architecture)
    program = jax.export.deserialize(to_stablehlo(architecture, weights).serialize())
    assert program.platforms == PLATFORMS
    (images_type,), (logits_type,) = program.in_avals, program.out_avals
    assert str(images_type.shape[0]) == str(logits_type.shape[0]) == "batch"
    assert (str(images_type.shape[2]) == "width") == (architecture.heads is None)
    for width in widths_of(architecture):
        images = digit_images(digits, width)
        ours = our_logits(architecture, weights, images)
        assert apart(np.asarray(program.call(images)), ours) <= TOLERANCE
    one = np.asarray(program.call(images[:1]))
    assert np.abs(one - ours[:1]).max() <= TOLERANCE * np.abs(ours).max()
    # The negative control: one number of the last convolution.
    changed = to_stablehlo(architecture, perturbed(architecture, weights))
    assert apart(np.asarray(changed.call(images)), ours) > 10 * TOLERANCE
