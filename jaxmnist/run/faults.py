"""What the machine has against a run, in a sentence: a disk or a memory that is too small."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxmnist.errors import UserError

NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


@contextlib.contextmanager
def faults_in_words(folder: Path) -> Iterator[None]:
    """Says what went wrong inside, and what to do.

    Args:
      folder: of the run.

    Raises:
      UserError: in place of an OSError, or of memory that is not to be had; what was saved before
        is still there.
    """
    try:
        yield
    except BrokenPipeError:  # whoever reads the output has left: no fault of the machine
        raise
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read or written ({error.strerror or error}): "
            "mend that, and the same command goes on from what is saved."
        ) from None
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(w in str(error) for w in NO_MEMORY):
            raise
        raise UserError(
            "this recipe needs more memory than there is: lower config.batch_size, "
            "config.num_seeds or config.epochs (config.eval.every_epoch keeps the weights of all), "
            "and give another --workdir."
        ) from None
