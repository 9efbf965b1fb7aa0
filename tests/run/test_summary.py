"""Summaries: typed, printed, and those of older versions still read."""

import dataclasses
import json

import pytest

from jaxmnist.run.summary import Summary, describe
from jaxmnist.typed_json import from_json
from tests.helpers import ROOT

RESULTS = sorted((ROOT / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=[path.stem for path in RESULTS])
def test_every_result_is_read_printed_and_written_back(path) -> None:
    tree = json.loads(path.read_text())
    summary = from_json(Summary, tree)
    assert f"{tree['name']}: {tree['params']:,} parameters" in describe(summary)
    written = json.loads(summary.to_json())
    assert from_json(Summary, written) == summary
    assert written["test"] == tree["test"]
    assert written["suites"] == tree["suites"]
    assert written["seconds"] == tree["seconds"]


def test_what_test_digits_add_is_printed_under_either_name() -> None:
    tree = json.loads((ROOT / "results" / "v_1.json").read_text())
    protocol = tree["protocol"]
    bias = protocol.pop("inflation", None) or protocol.pop("test_selection_bias")
    texts = {
        describe(from_json(Summary, tree | {"protocol": protocol | {name: bias}}))
        for name in ("inflation", "test_selection_bias")
    }
    (text,) = texts
    assert f"test selection bias {bias['mean']:>15.2%}" in text


def test_the_fields_are_those_that_are_documented() -> None:
    contract = (
        "name model params config seed num_seeds epochs data test suites published seconds "
        "examples_per_second device versions git_commit"
    )
    extras = {"diverged", "protocol", "weights_sha256", "peak_memory_bytes"}
    names = {field.name for field in dataclasses.fields(Summary)}
    assert names == set(contract.split()) | extras
