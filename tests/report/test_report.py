"""The report: what is read of run folders, what is counted, and the page."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmnist import cli
from jaxmnist.config import to_dict
from jaxmnist.errors import UserError
from jaxmnist.experiment import prepare
from jaxmnist.report import charts, command
from jaxmnist.report.confusion import confusion
from jaxmnist.report.digest import POINTS, calibration, digest
from jaxmnist.report.members import settings
from jaxmnist.report.runs import find_runs, load_run
from jaxmnist.run.predictions import (
    ANSWERS_FILE,
    Answers,
    load_answers,
    save_answers,
    surest_mistakes,
)
from jaxmnist.training import train
from tests.helpers import ROOT, recipe, run_python, short_run

LIBRARY = "window.vegaEmbed = () => '</script>';"


@pytest.fixture(autouse=True)
def _no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling takes seconds, and the extra need not be installed."""
    monkeypatch.setattr(command, "vega_lite", lambda: LIBRARY)


def write_run(folder: Path, epochs: int, *, finished: bool = True, **changes: Any) -> Path:
    """Writes a run folder as a run of `epochs` epochs would leave it."""
    config = to_dict(recipe("models:tiny", changes))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    rows = [
        {"epoch": epoch, "validation_accuracy": 1 - 0.1 / epoch, "validation_loss": 1 / epoch}
        for epoch in range(1, epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        figure = {"mean": 0.97, "sd": None, "values": [0.97]}
        summary = json.loads((ROOT / "results" / "model_3.json").read_text())
        summary |= {"config": config, "test": summary["test"] | figure, "suites": {"clean": figure}}
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def figures(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    found: dict[str, Any] = json.loads(data)
    return found


def test_strings_are_aligned_before_digits_are_compared() -> None:
    nothing = 10
    labels = np.array([[1, 2, 3, nothing], [4, nothing, nothing, nothing], [5, 6, 7, 8]])
    # 1 is missed, 9 is added, 6 is read as 0: no other digit is moved by that.
    read = np.array([[2, 3, nothing, nothing], [nothing, 4, 9, nothing], [5, 0, 7, 8]])
    wanted = np.zeros((11, 11), int)
    for true, seen in (
        (1, nothing), (2, 2), (3, 3), (4, 4), (nothing, 9), (5, 5), (6, 0), (7, 7), (8, 8),
    ):  # fmt: skip
        wanted[true, seen] += 1
    np.testing.assert_array_equal(confusion(labels, read), wanted)


def test_calibration_counts_every_answer_in_its_bin() -> None:
    found = calibration(np.float32([0.99, 0.97, 0.5, 0.5]), np.array([True, False, True, False]))
    assert found["calibration"] == [[0.5, 0.5, 2], [0.98, 0.5, 2]]
    assert found["calibration_error"] == pytest.approx(100 * 0.96 / 4, rel=1e-4)


def test_the_surest_mistakes_come_first() -> None:
    labels, read = np.array([[0], [1], [2], [3]]), np.array([[0], [7], [7], [3]])
    assert surest_mistakes(read, labels, np.float32([1, 0.5, 0.9, 1])).tolist() == [2, 1]


def test_a_run_writes_what_it_answered(tmp_path: Path) -> None:
    summary = train(short_run(epochs=1), tmp_path / "run")
    answers = load_answers(tmp_path / "run" / ANSWERS_FILE)
    right = (answers.predicted == answers.labels).all(-1)
    assert right.mean(-1).tolist() == pytest.approx(summary.test.values)
    assert answers.members == (answers.pictured,) == (0,)
    assert len(answers.images) == len(answers.mistakes) > 0
    assert not right[0, answers.mistakes].any()
    assert (np.diff(answers.confidences[0, answers.mistakes]) <= 0).all()
    test_digits = prepare(short_run(epochs=1)).splits.test
    np.testing.assert_array_equal(answers.images, test_digits.images[answers.mistakes])
    np.testing.assert_array_equal(answers.labels[:, 0], test_digits.labels[: len(right[0])])

    found = digest(load_run(tmp_path / "run"))
    assert found["error"] == pytest.approx(100 * (1 - summary.test.mean), rel=1e-4)
    assert np.sum(found["confusion"]) == right.size
    assert len(found["mistakes"]) == len(answers.mistakes)


def test_curves_of_several_seeds_have_a_band(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 1)
    row = {"epoch": 1, "validation_accuracy": 0.8, "train_loss": 2.0}
    row["seeds"] = {"validation_accuracy": [0.9, None, 0.7], "train_loss": [None]}
    (run / "metrics.jsonl").write_text(json.dumps(row))
    curves = digest(load_run(run))["curves"]
    assert curves["validation_error"] == [20]
    assert (curves["validation_error_low"], curves["validation_error_high"]) == ([10], [30])
    assert curves["train_loss"] == [2]
    assert "train_loss_low" not in curves


def test_a_population_is_a_run_for_each_learning_rate(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 1)
    config = json.loads((run / "config.json").read_text()) | {"num_seeds": 4}
    config["population"] = {"seeds": [0, 1, 0, 1], "learning_rates": [0.1, 0.1, 0.5, 0.5]}
    (run / "config.json").write_text(json.dumps(config))
    each = {"validation_loss": [1.0, None, 2.0, 4.0], "validation_accuracy": [0.7, None, 0.5, 0.9]}
    (run / "metrics.jsonl").write_text(
        json.dumps({"epoch": 1, "validation_loss": 2.3, "validation_accuracy": 0.7, "seeds": each})
    )
    summary = json.loads((run / "summary.json").read_text())  # the second member has diverged
    figure = {"mean": 0.7, "sd": 0.2, "values": [0.9, 0.6, 0.8]}
    summary |= {"test": summary["test"] | figure, "suites": {"clean": figure}}
    (run / "summary.json").write_text(json.dumps(summary))
    answers = Answers(
        labels=np.uint8([[3]]),
        predicted=np.uint8([[[3]], [[4]], [[5]]]),
        confidences=np.float32([[0.5], [0.6], [0.7]]),
        mistakes=np.int32([0]),
        images=np.zeros((1, 28, 28), np.uint8),
        members=(0, 2, 3),
        pictured=3,
    )
    save_answers(run / ANSWERS_FILE, answers)

    low, high = settings(load_run(run))
    assert [low.fields["schedule.learning_rate"], high.fields["schedule.learning_rate"]] == [
        0.1,
        0.5,
    ]
    low_figures, high_figures = digest(low), digest(high)
    assert (low_figures["error"], low_figures["seeds"]) == (10, 2)
    assert (high_figures["error"], high_figures["seeds"]) == (30, 2)
    assert low_figures["curves"]["validation_loss"] == [1]
    assert high_figures["curves"]["validation_loss"] == [3]
    assert high_figures["curves"]["validation_loss_high"] == [4]
    assert low_figures["pictures"] is None
    assert high_figures["mistakes"] == [["5", "3", pytest.approx(0.7), 0]]
    assert (low_figures["confusion"][3][3], low_figures["confusion"][3][5]) == (1, 0)


def test_the_page_holds_all_runs_and_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "a", 200)
    write_run(tmp_path / "runs" / "b" / "<b>", 3, finished=False, **{"schedule.learning_rate": 0.5})
    write_run(tmp_path / "runs" / "c", 3)
    (tmp_path / "runs" / "c" / "summary.json").write_text("{")
    assert cli.main(["report", "runs"]) == 0
    out, err = capsys.readouterr()
    assert out == "report.html\n"
    assert "c is damaged" in err
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 3  # nothing of a run or of the library ends one early
    found = figures(tmp_path / "report.html")
    assert found["fields"] == ["schedule.learning_rate"]
    a, b = found["runs"]
    assert (a["run"], a["finished"], a["error"], a["epochs"]) == ("a", True, 3.0, 200)
    assert a["curves"]["epoch"][-1] == 200
    assert len(a["curves"]["epoch"]) == POINTS
    assert (b["run"], b["finished"], b["error"]) == (str(Path("b", "<b>")), False, None)
    assert b["fields"] == {"schedule.learning_rate": 0.5}
    assert found["reload"] == 0


def test_it_follows_runs_until_they_have_ended(tmp_path: Path) -> None:
    first, page = write_run(tmp_path / "runs" / "a", 1, finished=False), tmp_path / "page.html"
    seen: list[tuple[int, int]] = []

    def sleep(seconds: float) -> None:
        found = figures(page)
        seen.append((len(found["runs"]), sum(run["finished"] for run in found["runs"])))
        assert found["reload"]
        if len(seen) == 2:
            (first / "summary.json").write_text((second / "summary.json").read_text())
        if len(seen) == 1:
            write_run(second, 1)

    second = tmp_path / "runs" / "b"
    command.report([tmp_path / "runs"], page, follow=True, log=lambda line: None, sleep=sleep)
    assert seen[:3] == [(1, 0), (2, 1), (2, 2)]
    assert len(seen) < 30
    assert not figures(page)["reload"]


def test_runs_that_vanish_leave_a_page_that_rests(tmp_path: Path) -> None:
    run, page = write_run(tmp_path / "runs" / "a", 1, finished=False), tmp_path / "page.html"
    with pytest.raises(UserError, match="holds no run"):
        command.report(
            [tmp_path / "runs"],
            page,
            follow=True,
            log=lambda line: None,
            sleep=lambda seconds: shutil.rmtree(run),
        )
    found = figures(page)
    assert len(found["runs"]) == 1
    assert not found["reload"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("none", "none does not exist: give a run folder"),
        ("empty", "empty holds no run"),
        ("empty --tensorboard --follow", "leave --out and --follow out"),
        ("empty --out nowhere/page.html", "its folder is not there"),
    ],
)
def test_what_cannot_be_reported_is_said(
    arguments: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert cli.main(["report", *arguments.split()]) == 2
    assert sentence in capsys.readouterr().err


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"pip install 'jaxmnist\[report\]'"):
        charts.vega_lite()


@pytest.mark.slow
def test_the_library_takes_less_than_two_megabytes_of_a_page() -> None:
    pytest.importorskip("vl_convert")
    library = charts.vega_lite()
    assert "window.vegaEmbed=" in library
    assert len(library.encode()) < 2_000_000
    assert charts.vega_lite() == library  # from the cache


def test_without_tensorboard_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a", 1)
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        command.tensorboard([tmp_path])


@pytest.mark.parametrize("damage", ["dtype", "place", "entry", "none"])
def test_damaged_answers_are_refused(damage: str, tmp_path: Path) -> None:
    answers = Answers(
        labels=np.uint8([[1], [2]]),
        predicted=np.uint8([[[1], [3]]]),
        confidences=np.float32([[0.9, 0.8]]).astype(int if damage == "dtype" else np.float32),
        mistakes=np.int32([7 if damage == "place" else 1]),
        images=np.zeros((1, 28, 28), np.uint8),
        members=(5,),
        pictured=4 if damage == "entry" else 5,
    )
    save_answers(tmp_path / ANSWERS_FILE, answers)
    if damage == "none":
        assert load_answers(tmp_path / ANSWERS_FILE).members == (5,)
        return
    with pytest.raises(UserError, match="is damaged, or of another version"):
        load_answers(tmp_path / ANSWERS_FILE)


def test_a_run_with_damaged_answers_stays_in_the_report(tmp_path: Path) -> None:
    run, said = write_run(tmp_path / "a", 1), []
    (run / ANSWERS_FILE).write_bytes(b"?")
    command.report([run], tmp_path / "page.html", log=said.append)
    assert figures(tmp_path / "page.html")["runs"][0]["error"] == 3
    assert ANSWERS_FILE in said[0]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "[]"),
        ("metrics.jsonl", '{"epoch": 1, "train_loss": "x"}'),
        ("metrics.jsonl", '{"epoch": 1, "seeds": {"train_loss": 3}}'),
        ("metrics.jsonl", '{"train_loss": 1}'),
        ("summary.json", '{"params": "many"}'),
        ("summary.json", "[" * 100_000),
    ],
)
def test_a_damaged_run_is_left_out_with_a_sentence(file: str, content: str, tmp_path: Path) -> None:
    (write_run(tmp_path / "a", 1) / file).write_text(content)
    with pytest.raises(UserError, match=r"no run can be read: .*a is damaged"):
        command.report([tmp_path], tmp_path / "page.html")


def test_what_json_calls_a_number_may_be_none(tmp_path: Path) -> None:
    for name, rate in (("a", 1e999), ("b", 0.5)):
        run = write_run(tmp_path / name, 1, finished=False)
        config = json.loads((run / "config.json").read_text()) | {"batch_size": rate}
        (run / "config.json").write_text(json.dumps(config))
        (run / "metrics.jsonl").write_text('{"epoch": 1, "validation_loss": NaN}')
    command.report([tmp_path], tmp_path / "page.html")
    a, b = figures(tmp_path / "page.html")["runs"]
    assert (a["fields"]["batch_size"], b["fields"]["batch_size"]) == ("Infinity", 0.5)
    assert a["curves"]["validation_loss"] == [None]


def test_runs_inside_runs_and_twice_named_ones_are_one(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 1)
    write_run(run / "checkpoints" / "b", 1)
    assert find_runs([tmp_path, run]) == [run]


def test_a_report_starts_no_jax(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1)
    code = (
        "import sys\nfrom jaxmnist.report import command\n"
        f"command.vega_lite = lambda: ''\nfrom pathlib import Path\n"
        f"command.report([Path({str(tmp_path)!r})], Path({str(tmp_path / 'page.html')!r}))\n"
        "print('jax' in sys.modules)"
    )
    done = run_python("-c", code)
    assert done.stdout.endswith("False\n"), done.stderr


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_filter_and_the_order_of_the_table() -> None:
    rows = [
        {"run": "a", "error": 2.5, "fields": {"lr": 0.1, "name": "x"}},
        {"run": "b", "error": None, "fields": {"lr": 0.02, "name": "Y"}},
        {"run": "c", "error": 0.5, "fields": {"lr": None, "name": "y"}},
    ]
    data = json.dumps({"runs": rows, "fields": ["lr", "name"]})
    code = (
        f"const document = {{getElementById: () => ({{textContent: {json.dumps(data)}}})}};\n"
        "const location = {hash: '#sort=error'};\n"
        + (ROOT / "jaxmnist" / "report" / "parts" / "table.js").read_text()
        + "const names = (filter, sort, down) => { Object.assign(state, {filter, sort, down});"
        " return filtered().map(r => r.run).join(''); };\n"
        "console.log(names('', 'error', ''), names('', 'error', '1'), names('', 'lr', ''),"
        " names('error<1', 'run', ''), names('lr>=0.02 name=y', 'run', ''), names('Y', 'run', ''),"
        " names('error!=0.5', 'run', ''), names('no such thing', 'run', '') || '-');"
    )
    done = subprocess.run(["node", "-"], input=code, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cab", "acb", "bac", "c", "b", "bc", "ab", "-"]


def test_a_report_replaces_its_own_page_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "a", 1)
    (run / "sweep.json").write_text("{}")
    assert cli.main(["report", str(run), "--out", str(run / "sweep.json")]) == 2
    assert "is something else" in capsys.readouterr().err
    assert (run / "sweep.json").read_text() == "{}"
    page = str(tmp_path / "page.html")
    assert [cli.main(["report", str(run), "--out", page]) for _ in range(2)] == [0, 0]
