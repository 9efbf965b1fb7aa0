"""The options of a comparison, checked before anything heavy is imported."""

import math
from dataclasses import dataclass

from jaxmnist.errors import UserError
from jaxmnist.systems.published import SYSTEMS

OURS = "jaxmnist"
# What each baseline is; the first two are the default, on a GPU also the third.
BASELINES = {
    "eager": "plain PyTorch, digits in memory",
    "channels_last": "the same in PyTorch's faster layout",
    "cuda_graphs": "the same with a whole step as one CUDA graph (GPU only)",
    "compile": "channels_last through torch.compile",
    "published": "as the published code: each system's own DataLoader, transforms image by image, "
    "loss.item()",
}
GROUPS = {
    "classifiers": tuple(
        name for name, system in SYSTEMS.items() if system.published and "seq" not in name
    ),
    "all": tuple(SYSTEMS),
}


@dataclass(frozen=True)
class Options:
    """What a comparison measures."""

    systems: tuple[str, ...] = ("v_1",)
    batch_sizes: tuple[int, ...] = (64,)
    against: tuple[str, ...] = ()  # baselines; empty: the fastest of this device
    rounds: int = 5
    seconds: float = 2.0  # a turn
    augment: bool = False
    seeds: int = 1
    threads: int | None = None  # None: a thread for every core that the process may use
    source: str = "auto"  # of digits, as in config.data.source


def find_systems(names: str) -> tuple[str, ...]:
    """Returns the systems of a comma-separated list of systems and groups of them.

    Raises:
      UserError: if one does not exist.
    """
    found: list[str] = []
    for name in split(names, "--systems"):
        if name not in SYSTEMS and name not in GROUPS:
            known = ", ".join((*GROUPS, *SYSTEMS))
            raise UserError(f"there is no system '{name}': choose one of {known}.")
        found += GROUPS.get(name, (name,))
    return tuple(dict.fromkeys(found))


def find_baselines(names: str) -> tuple[str, ...]:
    """Returns the baselines of a comma-separated list.

    Raises:
      UserError: if one does not exist.
    """
    found = split(names, "--against")
    for name in found:
        if name not in BASELINES:
            raise UserError(
                f"there is no contender '{name}': choose one of {', '.join(BASELINES)}."
            )
    return found


def find_batch_sizes(numbers: str) -> tuple[int, ...]:
    """Returns the numbers of a comma-separated list.

    Raises:
      UserError: if one is no size of a batch.
    """
    found = split(numbers, "--batch")
    for number in found:
        if not number.isdecimal() or len(number) > 9 or int(number) < 1:
            raise UserError(
                f"--batch is '{number[:20]}': give whole numbers above 0, such as 64,128."
            )
    return tuple(map(int, found))


def split(names: str, flag: str) -> tuple[str, ...]:
    """Returns the parts of a comma-separated list, each once."""
    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise UserError(f"{flag} names nothing: give a list with commas.")
    return found


def check_numbers(options: Options) -> None:
    """Checks what is a number.

    Raises:
      UserError: naming the first flag whose value cannot be, and what it must be.
    """
    if options.rounds < 1:
        raise UserError(f"--rounds is {options.rounds}: it must be at least 1.")
    if not 0 < options.seconds < math.inf:
        raise UserError(f"--seconds is {options.seconds:g}: it must be a number above 0.")
    if not 1 <= options.seeds <= 10_000:
        raise UserError(f"--seeds is {options.seeds}: it must be between 1 and 10000.")
