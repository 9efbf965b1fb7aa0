"""Checkpoints of the whole train state, with Orbax (the only file that knows it)."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxmnist.state import TrainState


def open_checkpoints(folder: Path) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints for use in a `with` block.

    Kept are the latest two and the one with the lowest validation loss. `best_fn` is given
    besides the policy, since without it Orbax stores no metrics and calls the latest the best.
    """
    policies = ocp.checkpoint_managers
    return ocp.CheckpointManager(
        folder.absolute(),
        options=ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics["validation_loss"],
            best_mode="min",
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(2),
                    policies.BestN(
                        get_metric_fn=lambda metrics: metrics["validation_loss"], n=1, reverse=True
                    ),
                ]
            ),
        ),
    )


def save(
    checkpoints: ocp.CheckpointManager,
    epoch: int,
    state: TrainState,
    record: dict[str, Any],
    validation_loss: float,
) -> None:
    """Writes the state after `epoch` epochs and the JSON `record` that belongs to it."""
    checkpoints.save(
        epoch,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
        ),
        metrics={"validation_loss": validation_loss},
    )


def restore_latest(
    checkpoints: ocp.CheckpointManager, like: TrainState
) -> tuple[TrainState, dict[str, Any]] | None:
    """Returns the newest state and its record, or None if nothing has been saved."""
    epoch = checkpoints.latest_step()
    if epoch is None:
        return None
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    restored = checkpoints.restore(
        epoch,
        args=ocp.args.Composite(
            state=ocp.args.StandardRestore(target), record=ocp.args.JsonRestore()
        ),
    )
    return restored["state"], restored["record"]
