"""What XLA is told about a part of a program, beyond what it computes."""

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata

# Of a program with hundreds of kernels, as that of strings: on a CPU XLA's newer way to make them
# takes 750 MB more and a third longer to compile, and is no faster in the end. Small convolutions
# are up to a third slower without it. From JAX 0.11.1 on there is the newer way alone.
MANY_KERNELS: dict[str, Any] = (
    {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11, 1) else {}
)


def no_inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function, which is under `jit`, as a function of its own in the compiled program.

    Else XLA fuses what computes its arguments, or its result, into everything that uses them, and
    computes it again for each. On a CPU only a call that is not inlined prevents that:
    `lax.optimization_barrier` is gone before it fuses. Elsewhere the function is called as it is.
    """
    if jax.default_backend() != "cpu":
        return function(*arguments)
    with set_xla_metadata(inlineable="false"):
        return function(*arguments)
