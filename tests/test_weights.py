"""Weights files: what they say of themselves, in this version and before."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jaxmnist.errors import UserError
from jaxmnist.weights import OLD_TITLES, load_weights, weights_sha256
from tools.samples import load_config, write_run


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "run"
    return write_run(folder, load_config("models:tiny")) / "weights.safetensors"


def test_metadata_survive_the_file(file: Path) -> None:
    loaded = load_weights(file)
    metadata, config = loaded.metadata, load_config("models:tiny")
    assert (metadata.name, metadata.model, metadata.data) == (
        config.name, config.model, "digits8x8",
    )  # fmt: skip
    assert metadata.eval == config.eval
    assert metadata.sha256 == weights_sha256(loaded.weights)


@pytest.mark.parametrize(("title", "name"), OLD_TITLES.items())
def test_files_of_older_versions_name_the_data_by_a_title(
    title: str, name: str, file: Path, tmp_path: Path
) -> None:
    with safe_open(file, framework="numpy") as content:
        metadata = json.loads(content.metadata()["jaxmnist"])
    del metadata["data"], metadata["sha256"]
    old = tmp_path / "old.safetensors"
    save_file(load_file(file), old, {"jaxmnist": json.dumps(metadata | {"digits": title})})
    assert load_weights(old).metadata.data == name
    save_file(load_file(file), old, {"jaxmnist": json.dumps(metadata | {"digits": "else"})})
    with pytest.raises(UserError, match="impossible metadata"):
        load_weights(old)
