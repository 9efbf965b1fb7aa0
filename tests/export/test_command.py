"""`jaxmnist export`, and the examples of docs/export.md."""

import re
from pathlib import Path

import numpy as np
import pytest

from jaxmnist import cli
from jaxmnist.export.files import export
from jaxmnist.parser import EXPORT_FORMATS
from jaxmnist.weights import Loaded, load_weights
from tests.export.networks import TOLERANCE, apart, digit_images, our_logits
from tests.helpers import ROOT

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from tools.exports import drawn  # noqa: E402 - it needs torch

SUFFIXES = {"torch": "pth", "torch-module": "py", "safetensors": "safetensors", "stablehlo": "bin"}


def no_digits() -> None:
    raise AssertionError("these formats need no digits")


@pytest.fixture(scope="module")
def seq() -> Loaded:
    return drawn("sequence_ctc_small")


@pytest.mark.parametrize("words", ["onnxruntime", "seq import Network", "jax.export"])
def test_the_examples_of_the_docs_run(
    words: str, seq: Loaded, digits: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), re.S)
    (block,) = (block for block in blocks if words in block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, form in (("seq.onnx", "onnx"), ("seq.py", "torch-module"), ("seq.pth", "torch")):
        assert export(seq, form, Path(name), digits=no_digits) == []
    export(seq, "stablehlo", Path("seq.stablehlo"), digits=no_digits)
    space: dict = {}
    exec(block, space)
    images = np.zeros((2, 28, 140), np.float32)
    ours = our_logits(seq.network.architecture, seq.weights, images)
    np.testing.assert_allclose(np.asarray(space["logits"]), ours, atol=1e-5 * np.abs(ours).max())


@pytest.mark.slow
def test_every_format_is_written_from_a_run(
    tiny_run: tuple[Path, str],
    digits: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = tiny_run
    for form in EXPORT_FORMATS:
        out = tmp_path / f"a.{SUFFIXES.get(form, form)}"
        asked = ["export", "--run", str(run), "--format", form, "--out", str(out)]
        assert cli.main(asked) == 0
        printed = capsys.readouterr()
        assert printed.out.strip() == str(out)
        assert out.stat().st_size
        assert ("In 8-bit integers it reads" in printed.err) == (form == "onnx-int8")
    loaded = load_weights(run / "weights.safetensors")
    images = digit_images(digits, 84)
    ours = our_logits(loaded.network.architecture, loaded.weights, images)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "a.onnx").run(None, {"images": images})
    assert apart(logits, ours) <= TOLERANCE
    asked = ["export", "--run", str(run), "--format", "onnx", "--names", "original"]
    assert cli.main([*asked, "--out", str(tmp_path / "b.onnx")]) == 2
    assert "leave --names out" in capsys.readouterr().err
