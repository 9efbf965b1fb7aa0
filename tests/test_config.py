"""The configuration: one schema, from which checks, help, command line and documents come."""

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags

from jaxmnist import config, fields, job, recipes
from jaxmnist.config import Config, Population, Sequence
from jaxmnist.errors import UserError
from jaxmnist.old_configs import upgrade
from jaxmnist.string_config import Strings
from jaxmnist.systems.published import SYSTEMS
from tests.helpers import ROOT
from tools.config_page import page

FILES = sorted(path.stem for path in recipes.shipped().glob("[!_]*.py"))
ALL = [f"{file}:{variant}" for file in FILES for variant in recipes.variants(file)]


def parse(*arguments: str) -> job.Job:
    flag_values = flags.FlagValues()
    job.define_flags(flag_values)
    return job.parse(["launch.py", *arguments], flag_values)


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_has_all_fields_and_survives_json(name: str) -> None:
    recipe = recipes.load(name).to_dict()
    built = config.from_dict(recipe)
    assert built.system in ("", *SYSTEMS)
    tree = config.to_dict(built)
    again = json.loads(json.dumps(tree))
    assert config.from_dict(again) == built
    assert config.config_hash(again) == config.config_hash(recipe)
    groups = {"sequence": Sequence(), "strings": Strings()}
    base = config.to_dict(Config(**{k: v for k, v in groups.items() if getattr(built, k)}))
    assert config.flatten(recipe).keys() == config.flatten(base).keys()


def test_the_seven_files_have_a_tiny_variant_each() -> None:
    assert FILES == ["ds_cnn", "iterations", "models", "reader", "seq", "speedrun", "v"]
    assert all(f"{file}:tiny" in ALL for file in FILES)


def test_every_field_is_declared_with_help_and_a_rule_that_its_default_keeps() -> None:
    declared = dict(config.all_fields())
    everything = Config(sequence=Sequence(), strings=Strings(), population=Population())
    assert declared.keys() == config.flatten(config.to_dict(everything)).keys()
    for name, field in declared.items():
        assert field.metadata["rule"].holds(field.default), name
        assert field.metadata["help"]
        assert not field.metadata["rule"].holds(object()) or isinstance(field.default, str)


def test_the_page_of_fields_is_up_to_date() -> None:
    """The negative control: a page without a field is another one."""
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page()
    assert all(f"| `{name}` |" in written for name, _ in config.all_fields())
    assert all(f"  {name} = " in config.field_list() for name, _ in config.all_fields())


def test_a_group_is_always_valid() -> None:
    with pytest.raises(UserError, match=r"config\.schedule\.step\.every is 0: it must be between"):
        dataclasses.replace(config.StepDecay(), every=0)
    assert set(fields.nested_groups(Config)) == {
        "data", "validation", "augment", "optimizer", "schedule", "eval", "sequence", "strings",
        "population",
    }  # fmt: skip


def test_older_names_mean_the_same() -> None:
    old = config.flatten(recipes.load("seq:specialist").to_dict())
    tree = recipes.load("seq:specialist").to_dict()
    del tree["layout"], tree["sequence"]["resample_each_epoch"]
    tree["backend"] = "batch_minor"
    tree["sequence"]["fixed_list"] = True
    tree["average"] = tree.pop("ema_decay")
    assert config.flatten(upgrade(tree)) == old | {"layout": "chwn"}
    # A field that came later says what was done before, not what its recipe says now.
    del tree["validation"]["batch_means"]
    assert old["validation.batch_means"]
    assert not upgrade(tree)["validation"]["batch_means"]
    here = parse(
        "seq:compact", "--config.backend=channels_last", "--config.sequence.fixed_list=True"
    )
    assert here.config.layout == "nhwc"
    assert here.config.sequence == Sequence(resample_each_epoch=False)


@pytest.mark.parametrize(
    "line",
    [
        "--config=configs/seq.py:tiny --workdir=w --config.seed=7 --config.data.verify=False",
        "seq:tiny --workdir=w --config.seed=7 --noconfig.data.verify",
        "--config.seed 7 --workdir w --config.data.verify=false seq:tiny",
        "--config seq:tiny -config.seed=9 --config.seed=7 --config.data.verify=0 -workdir w",
    ],
)
def test_a_job_can_be_written_in_several_ways(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # shipped recipes are found from anywhere
    expected = config.from_dict(recipes.load("seq:tiny").to_dict())
    data = dataclasses.replace(expected.data, verify=False)
    assert parse(*line.split()) == job.Job(
        dataclasses.replace(expected, seed=7, data=data), Path("w")
    )


def test_overrides_have_the_types_of_their_fields() -> None:
    changes = {
        "name": "3", "epochs": "3", "schedule.learning_rate": "3",
        "augment.scale": "(0.5, 2)", "eval.every_epoch": "true",
    }  # fmt: skip
    found = parse("models", *(f"--config.{name}={text}" for name, text in changes.items())).config
    assert (found.name, found.epochs, found.eval.every_epoch) == ("3", 3, True)
    assert (found.schedule.learning_rate, found.augment.scale) == (3.0, (0.5, 2))
    assert isinstance(found.schedule.learning_rate, float)


def test_a_changed_recipe_is_no_longer_the_published_system() -> None:
    assert parse("models").config.system == "model_3"
    assert parse("models", "--config.seed=1", "--config.backend=nhwc").config.system == "model_3"
    assert parse("models", "--config.epochs=15").config.system == ""


def test_a_field_of_a_recipe_may_refer_to_another(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from jaxmnist import recipes\n"
        "def get_config():\n"
        "  config = recipes.classifier('model_1')\n"
        "  config.eval.seed = config.get_ref('seed')\n"
        "  return config\n"
    )
    here = parse(f"--config={tmp_path}/mine.py", "--config.seed=5")
    assert here.config.eval.seed == 5
    assert here.workdir == Path("runs/mine")


def test_the_default_workdir_has_the_name_of_the_recipe() -> None:
    assert parse("seq:tiny").workdir == Path("runs/seq-tiny")
    assert parse("--config=configs/models.py").workdir == Path("runs/models")


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer": {"momentum": False}},
        {"schedule": {"learning_rate": np.float32(0.01)}},
        {"schedule": {"learning_rate": Decimal("0.01")}},
        {"augment": {"scale": np.array([0.9, 1.1])}},
        {"augment": {"scale": (True, True)}},
        {"augment": {"rotation_degrees": True}},
        {"augment": None},
    ],
)
def test_what_json_has_not_or_equals_something_else_is_refused(wrong: dict[str, Any]) -> None:
    tree = recipes.load("models:tiny").to_dict()
    for name, changes in wrong.items():
        tree[name] = tree[name] | changes if changes else changes
    with pytest.raises(UserError, match=r"^config\.\w+(\.\w+)? is .*: it must be "):
        config.from_dict(tree)


def test_a_group_by_hand_is_checked_too() -> None:
    built = config.from_dict(recipes.load("models:tiny").to_dict())
    for wrong in (None, {}, built.optimizer):
        with pytest.raises(UserError, match=r"config\.augment is .*: it must be a group of fields"):
            dataclasses.replace(built, augment=wrong)
    with pytest.raises(UserError, match="two factors"):
        dataclasses.replace(built.augment, scale=[0.9, 1.1])
    assert dataclasses.replace(built, sequence=None) == built
