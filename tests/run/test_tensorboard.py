"""TensorBoard's event files: figures and weights of every epoch, fields, and the outcome."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxmnist.run.tensorboard import open_tensorboard, write_outcome
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
def test_an_epoch_is_written_with_its_weights_and_hyperparameters(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    fields = {"seed": 3, "augment.scale": (0.9, 1.1), "name": "mine"}
    kernel = np.float32([[[1, 2], [3, 4]], [[-9, -9], [-9, -9]]])  # of two seeds
    with open_tensorboard(tmp_path, first_epoch=3, fields=fields) as add_epoch:
        row = {"epoch": 3, "step": 7, "train_loss": 0.5, "seeds": {}}
        add_epoch(row, {"dense1": {"kernel": kernel, "bias": kernel[:, 0]}})
    (file,) = tmp_path.iterdir()
    parsed = [Event.FromString(record) for record in events(file)]
    values = {value.tag: (e.step, value) for e in parsed for value in e.summary.value}
    start = HParamsPluginData.FromString(
        values.pop("_hparams_/session_start_info")[1].metadata.plugin_data.content
    ).session_start_info.hparams
    assert start["seed"].number_value == 3
    assert start["name"].string_value == "mine"
    assert start["augment.scale"].string_value == "(0.9, 1.1)"
    assert values.keys() == {"train_loss", "weights/dense1.kernel"}
    assert values["train_loss"][0] == 3
    assert values["train_loss"][1].simple_value == 0.5
    step, weights = values["weights/dense1.kernel"]
    assert step == 3
    assert (weights.histo.min, weights.histo.max, weights.histo.num) == (1, 4, 4)


@pytest.mark.filterwarnings("ignore")
def test_the_outcome_has_a_file_of_its_own(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    picture = tmp_path / "predictions.png"
    Image.new("RGB", (4, 3)).save(picture)
    folder = tmp_path / "run"
    with open_tensorboard(folder, first_epoch=1, fields={}):
        pass
    write_outcome(folder, 8, {"clean": 0.75}, picture)
    began, outcome = sorted(folder.iterdir())
    assert outcome.name.endswith(".test")
    assert not began.name.endswith(".test")
    parsed = [Event.FromString(record) for record in events(outcome)]
    values = {value.tag: (e.step, value) for e in parsed for value in e.summary.value}
    assert values["test/clean"][0] == values["predictions"][0] == 8
    assert values["test/clean"][1].simple_value == 0.75
    image = values["predictions"][1].image
    assert (image.width, image.height) == (4, 3)
    assert image.encoded_image_string == picture.read_bytes()


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
