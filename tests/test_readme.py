"""The README says what results/ and the code say."""

import json
import os
import re
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxmnist.config import from_dict
from jaxmnist.formats.pth import write_pth
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.models import classifiers
from jaxmnist.models.summary import init_variables, layer_rows
from jaxmnist.models.zoo import create_network
from jaxmnist.shipped import read_card
from jaxmnist.systems.audit import audit, read_results, table
from jaxmnist.systems.logs import read_logs
from jaxmnist.systems.published import SYSTEMS
from tests.helpers import ROOT, run_python
from tools.gallery.score import markdown

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = ("clean", "inverted", "inverted_canvas", "rotation", "noise", "noise_canvas")


def row(name: str, params: int, cells: list[str], measured_on: str) -> str:
    return f"| {name} | {params:,} | {' | '.join(cells)} | {measured_on} |"


def percent(score: dict[str, Any]) -> str:
    spread = "" if score["sd"] is None else f" ± {100 * score['sd']:.2f}"
    return f"{100 * score['mean']:.2f}{spread}"


def test_the_table_is_what_the_results_say() -> None:
    for name in ("seq", "seq-compact"):
        ours = json.loads((ROOT / "results" / f"{name}.json").read_text())
        cells = [percent(ours["suites"][suite]) for suite in SHOWN]
        seeds = f"MNIST test, {ours['num_seeds']} seed{'s' if ours['num_seeds'] > 1 else ''}"
        assert ours["data"]["official"]
        assert row(f"**{name}** (ours)", ours["params"], cells, seeds) in README
    card = read_card("reader")
    cells = [f"{100 * card['suites'][suite]:.2f}" for suite in SHOWN]
    assert row("**reader** (ours)", card["params"], cells, "MNIST test, 1 seed") in README
    for name in ("seq-specialist", "seq-generalist"):
        published = SYSTEMS[name].published
        assert published
        cells = [published.claims.get(s, "-") for s in SHOWN]
        assert (
            row(f"{name} (as claimed)", 9_891_489, cells, "clean: MNIST test, rest: unknown, 1 run")
            in README
        )


def test_readers_of_pictures_stand_as_they_were_measured() -> None:
    people = json.loads((ROOT / "results" / "gallery" / "people.json").read_text())
    for page in (README, (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")):
        assert markdown(people["programs"]) in page


def test_it_has_exactly_two_commands() -> None:
    commands = re.findall(r"```bash\n(.*?)```", README, re.S)
    assert len(commands) == 2
    assert "launch.py" in commands[0]
    assert "pytest" in commands[1]
    assert all(command.count("\n") == 1 for command in commands)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_result_is_listed_with_its_command() -> None:
    listed = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "results").rglob("*.json"):
        name = path.relative_to(ROOT / "results")
        programs = r"(python launch.py --config=configs/|jaxmnist |python -m (tests|tools)\.)"
        commands = rf"(\S+=\S+ )*{programs}\w+"
        assert re.search(rf"\[{name}\]\({name}\) \| `{commands}", listed), name


def python_with(words: str) -> str:
    """Returns the only block of Python that holds certain words."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.S) if words in b)
    return str(block)


def test_a_model_of_ones_own_is_one_entry_and_one_config() -> None:
    entry, config = python_with("CLASSIFIERS["), python_with("def get_config")
    space = dict(vars(classifiers)) | {"CLASSIFIERS": {}}
    exec(entry, space)
    ((name, architecture),) = space["CLASSIFIERS"].items()
    counted = sum(row.parameters for row in layer_rows(architecture, 28, 28))
    assert f"{counted:,} parameters" in entry
    exec(config, space)
    for variant in ("", "tiny"):
        recipe = from_dict(space["get_config"](variant).to_dict())
        assert recipe.model == name


@pytest.mark.slow
def test_weights_from_pytorch_are_read_as_shown(tmp_path: Path) -> None:
    reading = python_with("read_pth")
    network = create_network("model_3")
    key = jax.random.key(0)
    variables = init_variables(network, key, 28, 28)
    write_pth(tmp_path / "model_3.pth", to_state_dict(network.architecture, variables))
    reading = reading.replace("model_3.pth", str(tmp_path / "model_3.pth"))
    done = run_python("-c", f"{reading}\nprint(logits.shape)")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 1, 10)\n"


def test_the_published_systems_stand_as_the_audit_has_them() -> None:
    results = read_results(ROOT / "results")
    assert table(results) in README
    logs = read_logs(ROOT / "results")
    assert audit(results, logs) == (ROOT / "AUDIT.md").read_text(encoding="utf-8")
