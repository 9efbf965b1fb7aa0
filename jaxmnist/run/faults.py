"""Failures of the machine as user errors: a disk or a memory that is too small."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxmnist.errors import UserError

NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


@contextlib.contextmanager
def as_user_error(folder: Path) -> Iterator[None]:
    """Turns an OSError, or a lack of memory, into a `UserError` that says what to do.

    Args:
      folder: of the run.

    Raises:
      UserError: what was saved before is still there.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of our output has left: no fault of the machine
        raise
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read or written ({error.strerror or error}): "
            "fix it and rerun to resume from what is saved."
        ) from error
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        # JAX has one class for all that goes wrong on a device.
        if not isinstance(error, MemoryError) and not any(w in str(error) for w in NO_MEMORY):
            raise
        raise UserError(
            "this recipe needs more memory than there is: lower config.batch_size, "
            "config.num_seeds or config.epochs (config.eval.every_epoch keeps the weights of all), "
            "and give another workdir."
        ) from error
