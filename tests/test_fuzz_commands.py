"""Any command line whatever: it is understood, or refused with one sentence."""

import re

import jax
import jax.numpy as jnp
import pytest
from absl import flags
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxmnist import cli, config, job
from jaxmnist.errors import UserError
from jaxmnist.experiment import make_network, make_spec
from tests.helpers import ROOT

FIELDS = sorted(name for name, _ in config.all_fields())
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
    """Reads a command line as `launch.py` does; returns what is wrong with it."""
    flag_values = flags.FlagValues()
    job.define_flags(flag_values)
    try:
        wanted = job.parse(["launch.py", *arguments], flag_values).config
        schedule = make_spec(wanted, make_network(wanted), 1_000).schedule
        state = schedule.init(wanted.schedule.learning_rate)
        jax.eval_shape(lambda step: schedule.hyperparams(state, step), jnp.int32(0))
    except UserError as error:
        return str(error)
    return None


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
    assert code == 0 or re.fullmatch(r"error: [^\n]+\.", "".join(said))
