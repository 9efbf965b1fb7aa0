"""Any bytes whatever: every reader takes them, or refuses them with the project's own error.

tests/mutate.py does the same thousands of times; here are fewer files, which hypothesis chooses.
"""

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from absl.testing import flagsaver
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import launch
from configs import common
from jaxmnist import cli
from jaxmnist.errors import UserError
from jaxmnist.recipe import make_recipe
from jaxmnist.settings import check_settings, flatten
from tests.helpers import ROOT
from tests.mutate import Format, Outcome, damage, formats, splice

FORMATS = (
    *("idx images", "idx labels", "idx.gz", "npz", "safetensors", "pth", "config.json"),
    *("summary.json", "results/*.json", "checkpoint record", "checkpoint checksums"),
)
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def kinds(place: Path) -> dict[str, Format]:
    found = formats(place)
    assert tuple(found) == FORMATS
    return found


@pytest.fixture
def sound_again(
    request: pytest.FixtureRequest, place: Path, kinds: dict[str, Format]
) -> Iterator[None]:
    """Leaves a sound file behind, for the formats that share a folder."""
    yield
    one = kinds[request.node.callspec.params["kind"]]
    (place / one.name).write_bytes(one.sound[0])


def assert_read_or_refused(one: Format, place: Path, content: bytes) -> None:
    outcome = Outcome()
    outcome.try_one(one, place, content)
    assert not outcome.exceptions
    assert outcome.accepted + outcome.refused == 1


@pytest.mark.usefixtures("sound_again")
@pytest.mark.parametrize("kind", FORMATS)
@FEW
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    kind: str, content: bytes, place: Path, kinds: dict[str, Format]
) -> None:
    assert_read_or_refused(kinds[kind], place, content)


@pytest.mark.usefixtures("sound_again")
@pytest.mark.parametrize("kind", FORMATS)
@FEW
@given(seed=st.integers(0, 2**32), spliced=st.booleans())
def test_damaged_files_are_read_or_refused(
    kind: str, seed: int, spliced: bool, place: Path, kinds: dict[str, Format]
) -> None:
    chance, one = random.Random(seed), kinds[kind]
    content = splice(kinds, one, chance) if spliced else damage(one, chance)
    assert_read_or_refused(one, place, content)


FIELDS = sorted(flatten(common.sequences().to_dict()))
WORDS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from([0, 1, 2**31 - 1, 2**31, 10**9, 10**9 + 1]).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["True", "False", "(1, 2)", "(1.0, nan)", "one_cycle", "step", "plateau", "sgd"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


def answer(arguments: list[str]) -> str | None:
    """Resolves a configuration as `launch.py` does; returns what is wrong with it."""
    with pytest.MonkeyPatch.context() as patched, flagsaver.flagsaver():
        patched.setattr(sys, "argv", ["launch.py", *arguments])
        patched.setattr(launch, "fail", refuse)
        try:
            launch.parse(sys.argv)
            chosen = launch.resolve()
            check_settings(chosen)
            schedule = make_recipe(chosen, 1_000).schedule
            jax.eval_shape(lambda step: schedule.values(schedule.init(), step), jnp.int32(0))
        except UserError as error:
            return str(error)
    return None


def refuse(sentence: str) -> None:
    raise UserError(sentence)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@example("models", "step", {"schedule.step.every": "1000000000"})
@settings(max_examples=300)
@given(
    recipe=st.sampled_from(["seq", "models", "ds_cnn"]),
    schedule=st.sampled_from(["constant", "step", "one_cycle", "plateau"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), WORDS, min_size=1, max_size=3),
)
def test_any_override_is_taken_or_refused(
    recipe: str, schedule: str, fields: dict[str, str]
) -> None:
    fields = {"schedule.name": schedule} | fields
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    wrong = answer([f"--config={ROOT}/configs/{recipe}.py:tiny", *overrides])
    assert wrong is None or wrong.endswith(".")


@settings(max_examples=100)
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(["models", "evaluate", "export", "audit", "--run", "--weights"]),
            st.text(max_size=10).filter(lambda word: not word.startswith(("-h", "--h", "--o"))),
        ),
        max_size=5,
    )
)
def test_any_command_line_is_understood_or_refused(words: list[str]) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("builtins.print", lambda text="", **_: said.append(text))
        code = cli.main(words)
    assert code in (0, 2)
    assert code == 0 or re.fullmatch(r"error: [^\n]+\.", *said)
