"""One network as a file for other software: the formats, and what there is to say about each."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from jaxmnist.data.sources import Source
from jaxmnist.errors import UserError
from jaxmnist.export.torch_source import torch_source
from jaxmnist.files import atomic_write
from jaxmnist.formats.original_names import ORIGINAL_NAMES, OriginalNames
from jaxmnist.formats.pth import write_pth, write_safetensors
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.weights import Loaded

STATE_DICTS = {"torch": write_pth, "safetensors": write_safetensors}


def export(
    loaded: Loaded,
    form: str,
    path: Path,
    *,
    names: str = "sequential",
    digits: Callable[[], Source],
) -> list[str]:
    """Writes a network as a file in one of the formats of `jaxmnist export`.

    Args:
      loaded: the network.
      form: torch, torch-module, safetensors, onnx, onnx-int8 or stablehlo.
      path: of the file.
      names: of the layers in a state dict, sequential or original.
      digits: finds the digits that the network was trained on, for onnx-int8.

    Returns:
      What there is to know about the file.

    Raises:
      UserError: if a package is missing, or if the network has no such names.
      OSError: if the file cannot be written.
    """
    architecture, model = loaded.network.architecture, loaded.metadata.model
    if names == "original" and form not in STATE_DICTS:
        raise UserError(f"{form} has no layer names of the published code: leave --names out.")
    if form in STATE_DICTS:
        original, notes = _original(model) if names == "original" else (None, [])
        state = to_state_dict(architecture, loaded.weights._asdict(), original)
        STATE_DICTS[form](path, state)
        return notes
    if form == "torch-module":
        atomic_write(path, torch_source(architecture, model))
        return []
    if form == "stablehlo":
        need("flatbuffers")
        from jaxmnist.export.stablehlo import to_stablehlo

        atomic_write(path, bytes(to_stablehlo(architecture, loaded.weights).serialize()))
        return []
    assert form in ("onnx", "onnx-int8")
    return _export_onnx(loaded, path, digits if form == "onnx-int8" else None)


def _export_onnx(loaded: Loaded, path: Path, digits: Callable[[], Source] | None) -> list[str]:
    need("onnx", "onnxruntime")
    from jaxmnist.export import onnx_int8
    from jaxmnist.export.onnx_graph import to_onnx

    model, notes = to_onnx(loaded.network.architecture, loaded.weights), []
    if digits is not None:
        source = digits()
        small = onnx_int8.to_int8(model, onnx_int8.calibration(loaded.task, source.train))
        examples = onnx_int8.test_examples(loaded, source.test)
        before, after = (
            onnx_int8.accuracy(loaded, onnx_int8.start(each), examples) for each in (model, small)
        )
        model = small
        notes = [
            f"In 8-bit integers it reads {after:.2%} of {examples.count:,} clean test "
            f"{loaded.task.noun} right, and {before:.2%} in float32."
        ]
    atomic_write(path, model.SerializeToString())
    return notes


def _original(model: str) -> tuple[OriginalNames, list[str]]:
    """Returns the names in the published module, and what a reader of the file has to know."""
    original = ORIGINAL_NAMES.get(model)
    if original is None:
        raise UserError(
            f"no code of {model} was published, so that it has no original layer names: leave "
            "--names out."
        )
    unused = ", ".join(original.unused)
    note = (
        f"The published network has layers, too, that it never uses ({unused}), and the file has "
        "not: load it with strict=False."
    )
    return original, [note] if unused else []


def need(*packages: str) -> None:
    """Checks that optional packages are installed.

    Raises:
      UserError: if one is not.
    """
    for name in packages:
        if find_spec(name) is None:
            raise UserError(f"this format needs {name}: pip install 'jaxmnist[export]'.")
