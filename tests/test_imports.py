"""Imports go in one direction, and every module can be imported."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.helpers import ROOT

# Each line may import from lines above it, and from its own folder.
LAYERS = [
    ["constants", "errors", "metrics", "rng"],
    ["entry", "fields", "files", "runtime", "typed_json", "xla"],
    ["cluster", "models", "old_configs", "outputs", "reader", "shipped", "string_config"],
    ["config"],
    ["formats", "optim", "recipes"],
    ["data"],
    ["hints", "page", "sharding", "strings"],
    ["generate"],
    ["state", "tasks"],
    ["steps", "systems", "weights"],
    ["checkpoint", "evaluation", "experiment"],
    ["export", "run"],
    ["bench", "report", "final_evaluation"],
    ["training"],
    ["api", "job"],
    ["__init__", "answers", "parser", "sweep"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: number for number, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted((ROOT / "jaxmnist").rglob("*.py"))


def part_of(dotted: str) -> str | None:
    names = dotted.split(".")
    return names[1] if names[0] == "jaxmnist" and len(names) > 1 else None


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT / "jaxmnist")
    own = relative.parts[0].removesuffix(".py")
    modules = imported(path)
    for part in {part_of(module) for module in modules} - {None, own, "__version__"}:
        assert LEVEL[part] < LEVEL[own], f"{relative} must not import {part}"
    torch = {module for module in modules if module.split(".")[0] == "torch"}
    if (own == "bench" and path.stem.startswith("torch_")) or path.stem == "torch_layers":
        pytest.importorskip("torch")  # nobody else needs it
    else:
        assert not torch
    if path.stem != "checkpoint":
        assert not {module for module in modules if module.startswith("orbax")}
    dotted = ".".join(("jaxmnist", *relative.with_suffix("").parts))
    if own != "__main__":
        importlib.import_module(dotted)


def test_launch_and_configs_can_be_imported() -> None:
    configs = [f"configs.{path.stem}" for path in (ROOT / "configs").glob("[a-z]*.py")]
    assert len(configs) >= 6
    for name in ("launch", *configs):
        importlib.import_module(name)
