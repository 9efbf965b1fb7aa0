"""Reads handwritten digits with small JAX models, and trains them from published recipes.

In Python: `train`, `load` and `evaluate`, each with an example in its docstring; what a user can
mend is raised as `UserError`. On the command line: `jaxmnist --help`.
"""

from typing import TYPE_CHECKING, Any

from jaxmnist.errors import UserError

if TYPE_CHECKING:
    from jaxmnist.api import evaluate, load, train

__version__ = "0.1.0"
__all__ = ["UserError", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """Imports the functions above when they are first used: JAX takes a second to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jaxmnist import api

    return getattr(api, name)
