"""State dicts of PyTorch: to our variables, to files and back, byte for byte."""

import io
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.errors import UserError
from jaxmnist.formats.original_names import ORIGINAL_NAMES
from jaxmnist.formats.pth import read_pth, write_pth, write_safetensors
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.formats.state_dict import from_state_dict, to_state_dict
from jaxmnist.models.layers import BatchNorm
from jaxmnist.models.layout import LAYOUTS

torch = pytest.importorskip("torch")
import safetensors.torch  # noqa: E402 - it needs torch

from tests.models.test_torch_models import ARCHITECTURES  # noqa: E402
from tests.models.torch_reference import REFERENCES  # noqa: E402
from tools.samples import repack  # noqa: E402


def trained_twin(name: str):
    """A random network that has seen two batches, so that no statistic is 0 or 1."""
    torch.manual_seed(0)
    twin = REFERENCES[name]()
    with torch.no_grad():
        for _ in range(2):
            twin(torch.randn(2, 1, 28, 28 * ARCHITECTURES[name].heads))
    return twin


def assert_same_bytes(ours, theirs) -> None:
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        array, wanted = np.asarray(ours[name]), tensor.numpy()
        assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
        assert array.tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_state_dict_survives_the_way_there_and_back(name: str, tmp_path: Path) -> None:
    architecture, twin = ARCHITECTURES[name], trained_twin(name)
    state = twin.state_dict()
    torch.save(state, tmp_path / "theirs.pth")
    safetensors.torch.save_file(state, tmp_path / "theirs.safetensors")
    read = {
        "pth": read_pth(tmp_path / "theirs.pth"),
        "safetensors": read_arrays(tmp_path / "theirs.safetensors")[0],
    }
    assert_same_bytes(read["pth"], state)
    variables = jax.tree.map(jnp.asarray, from_state_dict(architecture, read["pth"]))
    ours = to_state_dict(architecture, variables)
    assert_same_bytes(ours, state)
    assert_same_bytes(
        to_state_dict(architecture, from_state_dict(architecture, read["safetensors"])), state
    )

    write_pth(tmp_path / "ours.pth", ours)
    write_safetensors(tmp_path / "ours.safetensors", ours)
    returned = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert_same_bytes(returned, state)
    REFERENCES[name]().load_state_dict(returned, strict=True)
    tensors = safetensors.torch.load_file(tmp_path / "ours.safetensors")
    REFERENCES[name]().load_state_dict(tensors, strict=True)
    assert_same_bytes({key: tensors[key] for key in state}, state)

    # The negative control: one number, one unit in the last place.
    first = next(iter(ours.values()))
    first.flat[0] = np.nextafter(first.flat[0], np.float32(np.inf))
    with pytest.raises(AssertionError):
        assert_same_bytes(ours, state)


def test_other_names_are_matched_by_order_where_they_are_numbered(tmp_path: Path) -> None:
    architecture = ARCHITECTURES["ds_cnn"]
    state = {key: tensor.numpy() for key, tensor in trained_twin("ds_cnn").state_dict().items()}
    renamed = {f"block{key}": array for key, array in state.items()}
    expected, found = (from_state_dict(architecture, entries) for entries in (state, renamed))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    # safetensors files sort their entries, block10 before block2: another order of layers.
    write_safetensors(tmp_path / "renamed.safetensors", renamed)
    with pytest.raises(UserError, match="are not those of this network's layers in their order"):
        from_state_dict(architecture, read_arrays(tmp_path / "renamed.safetensors")[0])


def split(key: str) -> tuple[str, str]:
    layer, _, entry = key.rpartition(".")
    return layer, entry


def test_layers_of_one_shape_are_never_guessed() -> None:
    """model_1 has three pairs of layers of one shape."""
    architecture = ARCHITECTURES["model_1"]
    state = {key: tensor.numpy() for key, tensor in trained_twin("model_1").state_dict().items()}
    stages = dict(zip(dict.fromkeys(key.split(".")[0] for key in state), "abcdefgh", strict=True))
    lettered = {
        f"{stages[layer]}.{entry}": array
        for (layer, entry), array in ((split(key), array) for key, array in state.items())
    }
    with pytest.raises(UserError, match="the layers b, d, f have the same shape"):
        from_state_dict(architecture, lettered)
    # The published module's names, its layers registered from the last to the first: by name.
    original = ORIGINAL_NAMES["model_1"]
    named = to_state_dict(architecture, from_state_dict(architecture, state), original)
    reordered = dict(reversed(named.items()))
    expected, found = (
        from_state_dict(architecture, entries, original) for entries in (named, reordered)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    # The same file without the table of names: numbered, but not in the order of the calls.
    change = {"conv2": "conv4", "conv4": "conv2"}
    places = [(change.get(layer, layer), entry) for layer, entry in map(split, named)]
    swapped = {f"{layer}.{entry}": named[f"{layer}.{entry}"] for layer, entry in places}
    with pytest.raises(UserError, match="have the same shape, and their names do not say"):
        from_state_dict(architecture, swapped)


def test_entries_that_do_not_fit_are_refused() -> None:
    architecture = ARCHITECTURES["model_2"]
    state = {key: tensor.numpy() for key, tensor in trained_twin("model_2").state_dict().items()}
    from_state_dict(architecture, state)
    with pytest.raises(UserError, match="has 43 entries and the network 44"):
        from_state_dict(architecture, dict(list(state.items())[:-1]))
    for key, wrong in (
        ("0.weight", state["0.weight"].transpose(2, 3, 1, 0)),
        ("0.weight", state["0.weight"].astype(np.float64)),
        ("1.num_batches_tracked", state["1.num_batches_tracked"][None]),
        ("1.num_batches_tracked", np.array(2**31)),
    ):
        with pytest.raises(UserError, match=f"the entry {key} is"):
            from_state_dict(architecture, state | {key: wrong})


def test_batches_are_counted_as_pytorch_counts_them() -> None:
    layer, layout, x = BatchNorm(), LAYOUTS["chwn"], jnp.ones((3, 4, 5, 2))
    variables = layer.init(jax.random.key(0), x, layout=layout, train=True)
    for count in range(3):
        stats = variables["batch_stats"]
        assert (stats["count"], stats["count"].dtype) == (count, jnp.int32)
        for train in (False, True):
            _, changed = layer.apply(
                variables, x, layout=layout, train=train, mutable=["batch_stats"]
            )
            variables = variables | changed


def test_views_of_a_storage_are_read_as_pytorch_reads_them(tmp_path: Path) -> None:
    whole = torch.arange(24).reshape(2, 3, 4)
    state = {
        "turned": whole.permute(2, 0, 1)[1:],
        "again": whole[1, ::2],
        "repeated": torch.tensor([0.5]).expand(3),
        "half": torch.arange(3).half(),
        "true": torch.tensor(True),
    }
    torch.save(state, tmp_path / "views.pth")
    read = read_pth(tmp_path / "views.pth")
    assert_same_bytes(read, state)
    write_pth(tmp_path / "ours.pth", read)
    assert_same_bytes(torch.load(tmp_path / "ours.pth", weights_only=True), state)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    for content, sentence in (
        ([torch.zeros(1)], "a list, and no named tensors"),
        (torch.zeros(1), "a tensor, and no named tensors"),
        (torch.nn.ReLU(), r"asks for 'torch\.nn\..*ReLU', and no named tensors"),
    ):
        torch.save(content, path)
        with pytest.raises(UserError, match=sentence):
            read_pth(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles_is_read(protocol: int, tmp_path: Path) -> None:
    state = trained_twin("model_2").state_dict()
    torch.save(state, tmp_path / "theirs.pth", pickle_protocol=protocol)
    assert_same_bytes(read_pth(tmp_path / "theirs.pth"), state)


def test_any_changed_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    """Every byte in turn becomes 9: also those that say on which disk an archive goes on."""
    good, bad = tmp_path / "good.pth", tmp_path / "bad.pth"
    write_pth(good, {"weight": np.arange(2, dtype=np.float32)})
    content = good.read_bytes()
    refused = 0
    for place in range(len(content)):
        bad.write_bytes(content[:place] + b"\x09" + content[place + 1 :])
        try:
            read_pth(bad)
        except UserError:
            refused += 1
    assert refused > len(content) / 3


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (4, (3,), (1,)),
        (-1, (3,), (1,)),
        (5, (3,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2,), (1, 1)),
        (0, (3,), (2**62,)),
        (0, (5,), (2**60,)),  # its last byte is at 2**64, which NumPy takes for 0
        (0, (2.0,), (1,)),
    ],
)
def test_tensors_stay_within_their_storage(offset, shape, strides, tmp_path: Path) -> None:
    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (storage, offset, shape, strides, False, {})

    storage = ("storage", torch.FloatStorage, "0", "cpu", 6)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value if value is storage else None

    data = io.BytesIO()
    Pickler(data, 2).dump({"weight": Tensor()})
    path = tmp_path / "outside.pth"
    write_pth(path, {"weight": np.zeros(6, np.float32)})
    repack(path, {"archive/data.pkl": data.getvalue()})
    with pytest.raises(UserError, match=r"not a readable PyTorch file|more than named tensors"):
        read_pth(path)
