"""What tests of the outside share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jaxmnist.data.sources import VARIABLE

ROOT = Path(__file__).parent.parent

needs_mnist = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"needs MNIST's four files in ${VARIABLE}"
)


def run_python(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the repository as a person would."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def compile_faults(folder: Path) -> Path | None:
    """Compiles tests/faults.c; None where that cannot be done (no Linux, no C compiler)."""
    library = folder / "faults.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", library, ROOT / "tests/faults.c", "-ldl"]
    if sys.platform != "linux" or shutil.which("cc") is None:
        return None
    return library if subprocess.run(command, check=False).returncode == 0 else None
