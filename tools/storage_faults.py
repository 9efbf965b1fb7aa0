"""Fails every disk operation of saving a checkpoint once, in every way.

  python -m tools.storage_faults --out results/robustness/storage-faults.json

After each failure the folder must still restore the state before or the new one, bit for bit, and
saving must work again once the disk does. Needs Linux and a C compiler: the process restarts itself
with tools/faults.c preloaded.
"""

import argparse
import ctypes
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmnist import checkpoint, config, recipes
from jaxmnist.checkpoint import Record
from jaxmnist.errors import UserError
from jaxmnist.experiment import prepare
from jaxmnist.run.signals import quiet_libraries
from jaxmnist.runtime import provenance
from jaxmnist.state import TrainState

FAULTS = {  # what fails -> errno, and whether it goes on failing
    "no space left, once": (errno.ENOSPC, False),
    "no space left, from then on": (errno.ENOSPC, True),
    "permission denied, from then on": (errno.EACCES, True),
    "input/output error, once": (errno.EIO, False),
}
SENTENCE = re.compile(r"the checkpoint [^\n]+ cannot be written \([^\n]+\): fix it and rerun[^\n]+")


def compile_faults(folder: Path) -> Path | None:
    """Compiles tools/faults.c; None where that cannot be done (no Linux, no C compiler)."""
    source, library = Path(__file__).with_name("faults.c"), folder / "faults.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    if sys.platform != "linux" or shutil.which("cc") is None:
        return None
    return library if subprocess.run(command, check=False).returncode == 0 else None


def inject(every: int, folder: Path) -> dict[str, Any]:
    """Saves over and over, each time with another operation failing; counts the outcomes.

    Raises:
      AssertionError: if a state was lost, or a wrong one restored.
    """
    count_anew = ctypes.CDLL(None).operations_until_now
    experiment = prepare(config.from_dict(recipes.load("models:tiny").to_dict()))
    first, second, third = (experiment.init_state(seed) for seed in (1, 2, 3))
    checkpoint.save(folder / "saved", first, record(1))
    checkpoint.save(folder / "saved", first, record(2))

    workdir = folder / "under test"
    os.environ["FAULT_UNDER"] = str(workdir)
    table: dict[str, dict[str, Any]] = {}
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
                outcome = "saved all the same"
            except UserError as error:
                known = SENTENCE.fullmatch(str(error))
                outcome = "refused in a sentence" if known else str(error)
            os.environ["FAULT_AT"] = "0"
            operations = count_anew()
            restored = restore(workdir, first)
            if restored == bits(second):
                outcome += ", new state there"
            else:
                assert restored == bits(first), f"operation {at}: neither state is there"
                assert outcome == "refused in a sentence", f"operation {at}: lost without a word"
                outcome += ", state before it there"
            checkpoint.save(workdir, third, record(4))
            assert restore(workdir, first) == bits(third), f"operation {at}: cannot go on"
            if operations < at:
                break
            outcomes[outcome] += 1
            at += every
        os.environ.pop("FAULT_STAYS", None)
        table[fault] = {"operations": operations, **outcomes}
        print(f"{fault}: {dict(table[fault])}", flush=True)
    return table


def record(step: int) -> Record:
    """Returns a record; later ones are worse, so that the first is the best."""
    return Record(step, error=float(step), data="", config="", history=[], seconds={})


def restore(folder: Path, like: TrainState) -> list[bytes]:
    """Returns the newest state's bits."""
    saved = checkpoint.restore_latest(folder, like, lambda line: None)
    assert saved
    return bits(saved[0])


def bits(state: TrainState) -> list[bytes]:
    """Returns all bits of a state."""
    numbers = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(numbers)]


def main() -> int:
    """Injects, prints the table, and writes it to `--out`."""
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
            command = [sys.executable, "-m", "tools.storage_faults", *sys.argv[1:]]
            return os.spawnv(os.P_WAIT, sys.executable, command)
        quiet_libraries()
        table = inject(chosen.every, Path(name))
    if chosen.out:
        report = {"faults": table, "every": chosen.every} | provenance()
        chosen.out.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
