"""The published modules' own state dicts: read by their names, and written with them."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmnist.api import load
from jaxmnist.cli import main
from jaxmnist.errors import UserError
from jaxmnist.formats.identify import identify
from jaxmnist.formats.original_names import ORIGINAL_NAMES
from jaxmnist.formats.pth import write_safetensors
from jaxmnist.formats.state_dict import from_state_dict, to_state_dict, unused_entries
from jaxmnist.models.zoo import SYSTEM_MODELS, create_network, find_architecture
from jaxmnist.systems.published import SYSTEMS

torch = pytest.importorskip("torch")
from torch.nn import (  # noqa: E402 - it needs torch
    BatchNorm2d,
    Conv2d,
    Linear,
    ModuleDict,
    ModuleList,
    Sequential,
    functional,
)

BLANK_LAYER = torch.nn.Identity()


def iterations(*, last: int, more: dict[str, torch.nn.Module]) -> ModuleDict:
    """Iterations 4 to 7 with what they register and never call, in the order of registration."""
    layers = {
        "conv1": Conv2d(1, 8, 3, padding=1), "bn1": BatchNorm2d(8),
        "conv2": Conv2d(8, 16, 3, padding=1), "bn2": BatchNorm2d(16),
        "conv1x1_1": Conv2d(16, 8, 1), "conv3": Conv2d(8, 32, 3, padding=1),
        "bn3": more.pop("bn3"), "conv1x1_2": Conv2d(32, last, 1),
    }  # fmt: skip
    return ModuleDict(layers | more | {"fc1": Linear(last * 49, 10)})


def published_modules() -> dict[str, ModuleDict]:
    """What the published code registers, layer by layer, of each system whose code is public."""
    unused = {"conv4": Conv2d(16, 32, 3, padding=1), "conv1x1_3": Conv2d(32, 32, 1)}
    plain = [(1, 16, 0), (16, 8, 0), (8, 16, 0), (16, 8, 0), (8, 16, 0), (16, 8, 1), (8, 10, 1)]
    wide = [(1, 8), (8, 16), (16, 24), (24, 24), (24, 32)]
    slim = [(1, 8), (8, 8), (8, 12), (12, 12), (12, 24)]
    thick = [(1, 16), (16, 8), (8, 16), (16, 8), (8, 16), (16, 12)]

    def normalised(sizes: list[tuple[int, int]]) -> dict[str, torch.nn.Module]:
        layers: dict[str, torch.nn.Module] = {}
        for number, (inputs, outputs) in enumerate(sizes, start=1):
            layers[f"conv{number}"] = Conv2d(inputs, outputs, 3)
            layers[f"bn{number}"] = BatchNorm2d(outputs)
        return layers

    return {
        "sequence_published": ModuleDict({
            "conv_base": Sequential(
                Conv2d(1, 32, 3, padding=1), BLANK_LAYER, Conv2d(32, 64, 3, padding=1), BLANK_LAYER,
                BLANK_LAYER, Conv2d(64, 128, 3, padding=1), BLANK_LAYER,
                Conv2d(128, 128, 3, padding=1),
            ),
            "fc1": Linear(128 * 7 * 21, 512),
            "output_heads": ModuleList(Linear(512, 11) for _ in range(3)),
        }),
        "model_1": ModuleDict(
            {f"conv{i}": Conv2d(a, b, 3, padding=p) for i, (a, b, p) in enumerate(plain, start=1)}
            | {"fc1": Linear(90, 10)}
        ),
        "model_2": ModuleDict(normalised(thick) | {"conv7": Conv2d(12, 10, 3, padding=1)}),
        "model_3": ModuleDict(normalised(slim) | {"conv6": Conv2d(24, 10, 3, padding=1)}),
        "iteration_1": ModuleDict({
            "conv1": Conv2d(1, 16, 3), "conv2": Conv2d(16, 32, 3), "conv1x1_1": Conv2d(32, 16, 1),
            "conv3": Conv2d(16, 32, 3), "conv1x1_2": Conv2d(32, 32, 1), "fc1": Linear(1568, 10),
        }),
        "iteration_2": ModuleDict({
            "conv1": Conv2d(1, 8, 3), "conv2": Conv2d(8, 16, 3), "conv1x1_1": Conv2d(16, 8, 1),
            "conv3": Conv2d(8, 16, 3), "conv1x1_2": Conv2d(16, 16, 1), "conv4": Conv2d(16, 32, 3),
            "conv1x1_3": Conv2d(32, 32, 1), "fc1": Linear(1568, 10),
        }),
        "iteration_3": ModuleDict({
            "conv1": Conv2d(1, 8, 3), "conv2": Conv2d(8, 16, 3), "conv1x1_1": Conv2d(16, 8, 1),
            "conv3": Conv2d(8, 32, 3), "conv1x1_2": Conv2d(32, 28, 1), "fc1": Linear(1372, 10),
        }),
        "iteration_4": iterations(last=32, more={"bn3": BatchNorm2d(32)} | unused),
        "iteration_5": iterations(last=28, more={"bn3": BatchNorm2d(16)}),
        "iteration_6": iterations(last=28, more={"bn3": BatchNorm2d(16)}),
        "iteration_7": iterations(last=28, more={"bn3": BatchNorm2d(16)}),
        "ds_cnn": ModuleDict(normalised(wide) | {"fc": Linear(32, 10)}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def modules() -> dict[str, ModuleDict]:
    torch.manual_seed(0)
    found = published_modules()
    for module in found.values():
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                tensor.uniform_(0.5, 1.5)
    return found


def arrays(module: ModuleDict) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("name", sorted(ORIGINAL_NAMES))
def test_the_published_modules_state_dict_goes_there_and_back(
    name: str, modules: dict[str, ModuleDict]
) -> None:
    state, original = arrays(modules[name]), ORIGINAL_NAMES[name]
    architecture = find_architecture(name)
    variables = from_state_dict(architecture, state, original)
    back = to_state_dict(architecture, variables, original)
    unused = unused_entries(state, original)
    assert list(back) == [entry for entry in state if entry not in unused]
    for entry, array in back.items():
        np.testing.assert_array_equal(array, state[entry])
    missing = modules[name].load_state_dict(
        {entry: torch.from_numpy(array) for entry, array in back.items()}, strict=not unused
    )
    # PyTorch lets a count of batches be missing.
    assert missing.missing_keys == [e for e in unused if not e.endswith("num_batches_tracked")]
    assert not missing.unexpected_keys
    # Registered in another order, it is the same: the names decide.
    reordered = dict(reversed(state.items()))
    again = from_state_dict(architecture, reordered, original)
    jax.tree.map(np.testing.assert_array_equal, again, variables)


@pytest.mark.parametrize(
    ("name", "numbers"), [("iteration_4", 26_274), ("iteration_5", 18_454), ("iteration_7", 18_454)]
)
def test_what_iterations_register_and_never_use_is_counted_and_left_out(
    name: str, numbers: int, modules: dict[str, ModuleDict]
) -> None:
    assert sum(parameter.numel() for parameter in modules[name].parameters()) == numbers
    assert identify(arrays(modules[name])).unused


def forward_iteration_4(module: ModuleDict, x: torch.Tensor) -> torch.Tensor:
    x = functional.max_pool2d(functional.relu(module["bn1"](module["conv1"](x))), 2)
    x = functional.max_pool2d(functional.relu(module["bn2"](module["conv2"](x))), 2)
    for layer in ("conv1x1_1", "conv3", "conv1x1_2"):
        x = functional.relu(module[layer](x))
    return module["fc1"](x.flatten(1))


def forward_model_1(module: ModuleDict, x: torch.Tensor) -> torch.Tensor:
    for number in range(1, 8):
        x = functional.relu(module[f"conv{number}"](x))
        x = functional.max_pool2d(x, 2) if number in (3, 5) else x
    return module["fc1"](x.flatten(1))


@pytest.mark.parametrize(
    ("name", "forward"), [("iteration_4", forward_iteration_4), ("model_1", forward_model_1)]
)
def test_a_file_of_the_published_code_computes_the_same_here(
    name: str, forward, modules: dict[str, ModuleDict], tmp_path: Path
) -> None:
    torch.save(modules[name].state_dict(), tmp_path / "theirs.pth")
    model = load(tmp_path / "theirs.pth")
    assert model.metadata.model == name
    images = np.random.RandomState(0).randint(0, 256, (20, 28, 28), dtype=np.uint8)
    inputs = torch.from_numpy((images[:, None] / np.float32(255) - 0.1307) / 0.3081).float()
    with torch.no_grad():
        expected = forward(modules[name].eval(), inputs).numpy()

    def error(found: np.ndarray) -> float:
        return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))

    assert error(model.logits(images)[:, 0]) < 1e-5  # float32, sums in another order
    # The negative control: one number of the first layer.
    state = modules[name].state_dict()
    state["conv1.weight"] = state["conv1.weight"].clone()
    state["conv1.weight"].view(-1)[0] += 1
    torch.save(state, tmp_path / "other.pth")
    assert error(load(tmp_path / "other.pth").logits(images)[:, 0]) > 1e-3


def test_what_export_writes_is_read_again(
    modules: dict[str, ModuleDict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(modules["iteration_5"].state_dict(), tmp_path / "theirs.pth")
    for form, names, suffix in (
        ("torch", "original", "pth"), ("torch", "sequential", "pth"),
        ("safetensors", "original", "safetensors"), ("safetensors", "sequential", "safetensors"),
    ):  # fmt: skip
        out = tmp_path / f"{names}.{suffix}"
        options = ["--format", form, "--names", names, "--out", str(out)]
        assert main(["export", "--weights", str(tmp_path / "theirs.pth"), *options]) == 0
        said = capsys.readouterr().err
        assert "iteration_5" in said
        assert "bn3 are left out" in said
        assert ("strict=False" in said) == (names == "original")
        first, second = load(tmp_path / "theirs.pth"), load(out)
        jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    originals = set(torch.load(tmp_path / "original.pth", weights_only=True))
    theirs = set(modules["iteration_5"].state_dict())
    assert originals == {entry for entry in theirs if not entry.startswith("bn3.")}


def test_a_model_without_published_code_has_no_original_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.models.torch_reference import v_1

    torch.save(v_1().state_dict(), tmp_path / "v_1.pth")
    assert load(tmp_path / "v_1.pth").metadata.model == "v_1"
    out = tmp_path / "out.pth"
    options = ["--format", "torch", "--names", "original", "--out", str(out)]
    assert main(["export", "--weights", str(tmp_path / "v_1.pth"), *options]) == 2
    assert "no code of v_1 was published" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_recognisers_length_is_found_in_its_weights(length: int, tmp_path: Path) -> None:
    layers = published_modules()["sequence_published"]
    layers["fc1"] = Linear(128 * 7 * 7 * length, 512)
    layers["output_heads"] = ModuleList(Linear(512, 11) for _ in range(length))
    assert identify(arrays(layers)).max_length == length


def test_a_state_dict_of_no_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(Linear(784, 10).state_dict(), tmp_path / "linear.pth")
    assert main(["evaluate", "--weights", str(tmp_path / "linear.pth")]) == 2
    assert "holds 2 entries with 7,850 numbers" in capsys.readouterr().err


def test_systems_are_networks_by_their_names() -> None:
    for name, system in SYSTEMS.items():
        assert SYSTEM_MODELS.get(name, name) == system.model
        assert create_network(name).architecture == find_architecture(system.model)
    assert create_network("seq-specialist").architecture.heads == 3


def test_other_precisions_are_read_and_said(modules: dict[str, ModuleDict], tmp_path: Path) -> None:
    state = modules["model_3"].state_dict()
    torch.save(state, tmp_path / "float.pth")
    expected = load(tmp_path / "float.pth")
    for name, dtype in (("half", torch.float16), ("double", torch.float64)):
        other = {e: t.to(dtype) if t.is_floating_point() else t for e, t in state.items()}
        torch.save(other, tmp_path / f"{name}.pth")
        found = load(tmp_path / f"{name}.pth")
        assert any("read as float32" in note for note in found.loaded.notes)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), found.params, expected.params
        )


def test_negative_variances_are_refused(modules: dict[str, ModuleDict], tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in modules["model_3"].state_dict().items()}
    state["bn2.running_var"][3] = -1.0
    torch.save(state, tmp_path / "negative.pth")
    with pytest.raises(UserError, match=r"negative variances in bn2\.running_var"):
        load(tmp_path / "negative.pth")


def test_a_safetensors_file_of_another_name_is_one(
    modules: dict[str, ModuleDict], tmp_path: Path
) -> None:
    write_safetensors(tmp_path / "theirs.pt", arrays(modules["model_3"]))
    assert load(tmp_path / "theirs.pt").metadata.model == "model_3"
