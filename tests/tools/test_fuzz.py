"""Any bytes whatever: every reader takes them, or refuses them with the project's own error.

tools/mutate.py does the same thousands of times; here are fewer files, which hypothesis chooses.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.mutate import Format, Outcome, damage, formats, splice

# Pillow warns of damage that it reads on beyond.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\..*")

FORMATS = (
    *("idx images", "idx labels", "idx.gz", "npz", "safetensors", "pth", "picture"),
    *("config.json", "summary.json", "results/*.json", "checkpoint record", "checkpoint checksums"),
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
