"""Checkpoints of the whole train state, with Orbax (the only file that knows it)."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxmnist.errors import UserError
from jaxmnist.state import TrainState


def open_checkpoints(folder: Path) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints for use in a `with` block.

    Kept are the latest two and the one with the lowest validation error. `best_fn` is given
    besides the policy, since without it Orbax stores no metrics and calls the latest the best.

    Raises:
      UserError: if what is there cannot be read.
    """
    policies = ocp.checkpoint_managers
    options = ocp.CheckpointManagerOptions(
        best_fn=lambda metrics: metrics["error"],
        best_mode="min",
        preservation_policy=policies.AnyPreservationPolicy(
            [
                policies.LatestN(2),
                policies.BestN(get_metric_fn=lambda metrics: metrics["error"], n=1, reverse=True),
            ]
        ),
    )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file where checkpoints belong: remove it.")
    try:
        return ocp.CheckpointManager(folder.absolute(), options=options)
    except Exception as error:  # Orbax and TensorStore have many words for a damaged file
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"the newest checkpoint in {folder} is damaged ({type(error).__name__}): remove it (the "
        "folder with the highest number), and the same command goes on from the one before."
    )


def save(
    checkpoints: ocp.CheckpointManager,
    epoch: int,
    state: TrainState,
    record: dict[str, Any],
    error: float,
) -> None:
    """Writes the state after `epoch` epochs and the JSON `record` that belongs to it.

    `error` is what the run wants low: the validation loss, or one minus the accuracy.
    """
    checkpoints.save(
        epoch,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
        ),
        metrics={"error": error},
    )


def restore_latest(
    checkpoints: ocp.CheckpointManager, like: TrainState
) -> tuple[TrainState, dict[str, Any]] | None:
    """Returns the newest state and its record, or None if nothing has been saved.

    Raises:
      UserError: if the newest checkpoint cannot be read.
    """
    epoch = checkpoints.latest_step()
    if epoch is None:
        return None
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    try:
        restored = checkpoints.restore(
            epoch,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(target), record=ocp.args.JsonRestore()
            ),
        )
    except Exception as error:
        raise _damaged(Path(checkpoints.directory), error) from None
    state, record = restored["state"], restored["record"]
    if not isinstance(record, dict) or not {"data", "history", "seconds"} <= record.keys():
        raise _damaged(Path(checkpoints.directory), ValueError("record"))
    return state, record
