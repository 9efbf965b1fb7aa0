"""TensorBoard's event files: every real number of a line of the metrics, at its epoch."""

import struct
from pathlib import Path

import pytest

from jaxmnist.run.tensorboard import open_tensorboard
from tests.helpers import run_python, write_config_file


def events(file: Path) -> list[bytes]:
    """The records of an event file: length, its checksum, content, its checksum."""
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


@pytest.mark.filterwarnings("ignore")  # of PyTorch, which tensorboardX imports here
def test_scalars_are_written_at_their_epochs(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    with open_tensorboard(tmp_path, first_epoch=3) as add_scalars:
        add_scalars({"epoch": 3, "step": 7, "train_loss": 0.5, "seeds": {}})
    (file,) = tmp_path.iterdir()
    parsed = [Event.FromString(record) for record in events(file)]
    written = [(e.step, v.tag, v.simple_value) for e in parsed for v in e.summary.value]
    assert written == [(3, "train_loss", 0.5)]


@pytest.mark.slow
def test_a_run_imports_no_pytorch(tmp_path: Path) -> None:
    config = write_config_file(tmp_path / "small.py", {"epochs": 1})
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('torch' in sys.modules, 'tensorboardX' in sys.modules))\n"
        f"sys.argv = ['launch.py', '--config={config}', '--workdir={tmp_path}/run']\n"
        "runpy.run_path('launch.py', run_name='__main__')"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("summary.json\nFalse True\n")
