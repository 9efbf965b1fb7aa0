"""The table of exported formats."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmnist.data.sources import Source
from jaxmnist.errors import UserError

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from tools import exports


def test_a_row_for_every_format(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SECONDS", 0)
    report = exports.measure(exports.drawn("model_3"), source, trained=False, folder=tmp_path)
    formats = report["formats"]
    assert list(formats) == [
        "jaxmnist", "onnx", "onnx-int8", "stablehlo", "torch", "safetensors",
    ]  # fmt: skip
    assert report["parameters"] == 7_762
    assert "int8" not in report  # what drawn weights read is no measure
    assert formats["onnx-int8"]["bytes"] < formats["onnx"]["bytes"]
    for form, row in formats.items():
        assert row["seconds_single"] > 0
        # Bytes are no float32: the difference is measured, and not one of nothing.
        assert (row["difference"] > 1e-4) if form == "onnx-int8" else (row["difference"] < 1e-5)


def test_outputs_that_do_not_vary_are_refused(source: Source, tmp_path: Path) -> None:
    loaded = exports.drawn("model_3")
    dead = jax.tree.map(np.array, loaded.weights)
    dead.params["conv1"]["kernel"][...] = 0
    with pytest.raises(UserError, match="hardly vary"):
        exports.measure(replace(loaded, weights=dead), source, trained=False, folder=tmp_path)
