"""Every sentence to a user names only what the door that it is spoken at has."""

import argparse
import ast
import re
from pathlib import Path

import pytest

from jaxmnist import cli, config
from jaxmnist.data.sources import VARIABLE, load_source
from jaxmnist.errors import UserError
from jaxmnist.parser import make_parser
from tests.helpers import ROOT

PACKAGE = ROOT / "jaxmnist"
# Where the code of a module speaks: verbs of the command line, and Python, `import jaxmnist`, where
# there are no flags. What is not named here is spoken everywhere.
EVERYWHERE = ("train", "sweep", "evaluate", "export", "bench", "speedrun", "python")
TRAINS = {"train", "sweep", "python"}  # doors that take fields of a configuration
DOORS = {
    "cli.py": ("cli",),
    "parser.py": ("cli",),  # each verb's own; test_the_command_line_names_its_own_flags
    "job.py": ("train",),
    "cluster.py": ("train",),
    "recipes.py": ("train", "python"),
    "config.py": ("train", "python"),
    "fields.py": ("train", "python"),
    "experiment.py": ("train", "python"),
    "training.py": ("train", "python"),
    "checkpoint.py": ("train", "python"),
    "bench/machine.py": ("bench",),
    "bench/options.py": ("bench",),
    "bench/workload.py": ("bench",),
    "bench/compare.py": ("bench",),
    "bench/torch_baselines.py": ("bench",),
    "page/server.py": ("serve",),
    "systems/audit.py": ("audit",),
    "systems/logs.py": ("audit",),
    "export/files.py": ("export",),
    "report/command.py": ("report",),
    "sweep/options.py": ("sweep",),
    "sweep/points.py": ("sweep",),
    "sweep/guided.py": ("sweep",),
    "sweep/run.py": ("sweep",),
    "outputs.py": ("evaluate", "export", "bench", "speedrun", "audit", "report"),
}
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z_-]*)")
FIELD = re.compile(r"\bconfig\.([a-z_]+(?:\.[a-z_]+)*)")
TRAINING = ("when training", "train with", "a configuration may", "this recipe")


def messages() -> list[tuple[str, int, str]]:
    """Every text that is given to a UserError: module, line, and the text with {} for values."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "UserError", "AmbiguousOrderError",
            ):  # fmt: skip
                parts = [
                    part.value if isinstance(part, ast.Constant) else "{}"
                    for argument in node.args
                    for part in (
                        argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                    )
                ]
                name = path.relative_to(PACKAGE).as_posix()
                found.append((name, node.lineno, "".join(map(str, parts))))
    return found


def flags_of(verb: str) -> set[str]:
    if verb == "train":
        return {
            "workdir", "store", "config", "help", "distributed", "coordinator", "num_processes",
            "process_id", "start_timeout",
        }  # fmt: skip
    (verbs,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    if verb == "cli":
        return {flag for each in verbs.choices for flag in flags_of(each) if each != "train"}
    options = [
        option for action in verbs.choices[verb]._actions for option in action.option_strings
    ]
    return {option.lstrip("-") for option in options}


def wrong(module: str, text: str) -> list[str]:
    """What a text names that a door has not."""
    doors = DOORS.get(module, EVERYWHERE)
    found = []
    for door in doors:
        flags = set() if door == "python" else flags_of(door)
        found += [f"{door} has no --{flag}" for flag in FLAG.findall(text) if flag not in flags]
    fields = {name for name, _ in config.all_fields()}
    groups = {name.rpartition(".")[0] for name in fields}
    for field in FIELD.findall(text):
        if field not in fields | groups | {"json"}:
            found.append(f"there is no config.{field}")
        if not set(doors) <= TRAINS and field in fields and not said_of(text):
            found.append(f"{doors} has no config.{field}")
    return found


def said_of(text: str) -> bool:
    """Whether a text says that it speaks of training."""
    return any(words in text for words in TRAINING)


def test_every_message_names_what_its_doors_have() -> None:
    found = messages()
    assert len(found) > 140
    assert set(DOORS) - {"job.py"} <= {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")
    }
    problems = [
        f"{module}:{line}: {problem}: {text}"
        for module, line, text in found
        for problem in wrong(module, text)
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("weights.py", "give --run."),
        ("training.py", "give another --workdir."),
        ("data/sources.py", "set config.data.dir."),
        ("bench/options.py", "lower config.batch_size."),
        ("experiment.py", "lower config.batchsize."),
    ],
)
def test_a_message_of_another_door_is_noticed(module: str, text: str) -> None:
    assert wrong(module, text)


def test_every_message_is_one_short_sentence() -> None:
    for module, line, text in messages():
        assert len(text) < 500, (module, line)
        assert text.rstrip().endswith((".", "}")), (module, line, text)


def test_the_command_line_names_its_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for line, flag in (
        ("speedrun 99 --source usb", "--source"),
        ("bench --source usb", "--source"),
        ("evaluate --run x --suite clean --data y", "--suite and --data"),
    ):
        assert cli.main(line.split()) == 2
        assert flag in capsys.readouterr().err


def test_a_variable_that_a_message_names_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tfds` without a network: it says to set the variable, which it has to obey then."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("jaxmnist.data.sources.in_cache", lambda: False)
    monkeypatch.setattr("jaxmnist.data.sources._reachable", lambda url: False)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match=f"set {VARIABLE}"):
        load_source("tfds")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz does not exist"):
        load_source("tfds")
