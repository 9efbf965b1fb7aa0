"""Lets every operation on the disk that saving a checkpoint makes fail once, in every way.

  python -m tests.storage_faults --out results/robustness/storage-faults.json

After each failure the folder must still give the state before or the new one, bit for bit, and
saving must work again once the disk does. Needs Linux and a C compiler: the process starts itself
again with tests/faults.c loaded before everything else.
"""

import argparse
import ctypes
import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np

from configs import models
from jaxmnist.errors import UserError
from jaxmnist.programs import initial_state
from jaxmnist.recipe import make_recipe
from jaxmnist.run.environment import device, git_commit, versions
from jaxmnist.state import TrainState
from jaxmnist.storage import checkpoint
from tests.helpers import compile_faults

FAULTS = {  # what fails -> errno, and whether it goes on failing
    "no space left, once": (errno.ENOSPC, False),
    "no space left, from then on": (errno.ENOSPC, True),
    "permission denied, from then on": (errno.EACCES, True),
    "input/output error, once": (errno.EIO, False),
}
SENTENCE = re.compile(r"the checkpoint [^\n]+ cannot be written \([^\n]+\): mend that[^\n]+")


def inject(every: int, folder: Path) -> dict[str, Any]:
    """Saves over and over, each time with another operation failing; counts what came of it.

    Raises:
      AssertionError: if a state was lost, or a wrong one restored.
    """
    count_anew = ctypes.CDLL(None).operations_until_now
    recipe = make_recipe(models.get_config("tiny").to_dict(), 1_000)
    first, second, third = (initial_state(recipe, seed, 1) for seed in (1, 2, 3))
    checkpoint.save(folder / "saved", first, record(1))
    checkpoint.save(folder / "saved", first, record(2))

    workdir = folder / "under test"
    os.environ["FAULT_UNDER"] = str(workdir)
    table = {}
    for fault, (number, stays) in FAULTS.items():
        outcomes: Counter[str] = Counter()
        os.environ["FAULT_HOW"] = str(number)
        os.environ |= {"FAULT_STAYS": "1"} if stays else {}
        at = 1
        while True:
            shutil.rmtree(workdir, ignore_errors=True)
            shutil.copytree(folder / "saved", workdir)
            count_anew()
            os.environ["FAULT_AT"] = str(at)
            try:
                checkpoint.save(workdir, second, record(3))
                said = "saved all the same"
            except UserError as error:
                said = "refused in a sentence" if SENTENCE.fullmatch(str(error)) else str(error)
            os.environ["FAULT_AT"] = "0"
            operations = count_anew()
            restored = restore(workdir, first)
            if restored == bits(second):
                said += ", new state there"
            else:
                assert restored == bits(first), f"operation {at}: neither state is there"
                assert said == "refused in a sentence", f"operation {at}: lost without a word"
                said += ", state before it there"
            checkpoint.save(workdir, third, record(4))
            assert restore(workdir, first) == bits(third), f"operation {at}: cannot go on"
            if operations < at:
                break
            outcomes[said] += 1
            at += every
        os.environ.pop("FAULT_STAYS", None)
        table[fault] = {"operations": operations, **outcomes}
        print(f"{fault}: {dict(table[fault])}", flush=True)
    return table


def record(step: int) -> dict[str, Any]:
    """Makes a record; later ones are worse, so that none but the latest two are superfluous."""
    return {
        "step": step,
        "error": float(step),
        "config": "",
        "data": "",
        "history": [],
        "seconds": {},
    }


def restore(folder: Path, like: TrainState) -> list[bytes]:
    """Returns the newest state's bits."""
    saved = checkpoint.restore_latest(folder, like, lambda said: None)
    assert saved
    return bits(saved[0])


def bits(state: TrainState) -> list[bytes]:
    """Returns all bits of a state."""
    numbers = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(numbers)]


def main() -> int:
    """Injects, prints the table, and writes it where that is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="only every so many-th operation")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if "FAULT_LOADED" not in os.environ:
            if not (library := compile_faults(Path(name))):
                print("error: this needs Linux and a C compiler (cc).", file=sys.stderr)
                return 2
            os.environ |= {"LD_PRELOAD": str(library), "FAULT_LOADED": "1"}
            command = [sys.executable, "-m", "tests.storage_faults", *sys.argv[1:]]
            return os.spawnv(os.P_WAIT, sys.executable, command)
        table = inject(chosen.every, Path(name))
    if chosen.out:
        about = {"faults": table, "every": chosen.every, "device": device()}
        about |= {"versions": versions(), "git_commit": git_commit()}
        chosen.out.write_text(json.dumps(about, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
