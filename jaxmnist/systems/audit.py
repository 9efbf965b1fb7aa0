"""What was claimed of the sixteen published systems, and what we get: tables out of results/."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.systems.listing import list_models
from jaxmnist.systems.logs import Compared, format_logs
from jaxmnist.systems.published import SYSTEMS, Published, fraction
from jaxmnist.systems.results import NOTHING, Protocol, Result, Spread, parse_result

HEAD = """\
# Audit of the sixteen published systems

Written by `jaxmnist audit results --out AUDIT.md` from the JSON files in
[results/](results/README.md); each says what code, data and hardware made it. All figures are
accuracies in percent: of digits, and of whole sequences for systems 1 and 2.

- **claimed**, **measured on**: what the authors published, one run each, and what it was measured
  on according to their code and logs.
- **as published**: what we get when the published code's own protocol is followed to the letter
  (`:..._as_run`): mean ± sd over n seeds, and the 95 % confidence interval of the mean (Student).
- **test, last epoch**: the same runs' accuracy on the 10,000 test digits after the last epoch.
- **test, chosen epoch**: runs that hold 5,000 training digits out and choose their epoch on those.
- **test selection bias**: what choosing the epoch on the test digits adds to the honest figure,
  mean of seeds: of the chosen-epoch runs where there are some, else of the last epoch.
- **verdict**: a claim is *reproduced* if it lies within 1.96 sd of our mean, where the sd is that
  of sampling the measured digits (binomial, at the claimed accuracy) and of our seeds together.
  That is a mild rule, since their digits and ours are the same; so a claim that lies outside the
  95 % prediction interval of one more of our runs (Student, seeds alone) is said to be *outside
  our seeds' spread*. With three seeds that spread is itself little known: three equal figures make
  it zero.
"""


@dataclass(frozen=True)
class Row:
    """One system: its claim and our results, as far as there are any."""

    name: str
    number: int
    published: Published
    as_run: Result | None  # trained and measured as the published code did it
    honest: Result | None  # with the epoch chosen on held-out digits
    others: tuple[Result, ...] = ()  # of further recipes that may have made the figure


def read_results(folder: Path) -> list[Result]:
    """Reads all summaries in a folder: JSON files of any name, and those of run folders in it.

    A run's folder has its own summary.

    Raises:
      UserError: if there are none, or one cannot be read.
    """
    results: list[Result] = []
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/summary.json")])
    if (folder / "config.json").exists():  # it is a run's folder itself
        paths = [folder / "summary.json"]
        if not paths[0].exists():
            raise UserError(f"{folder} is a run that has not ended: give finished ones.")
    for path in paths:
        file = path.relative_to(folder).as_posix()
        try:
            if not path.is_file():  # a pipe may wait for ever
                raise ValueError("no file")
            result = parse_result(json.loads(path.read_text(encoding="utf-8")), file)
        except (OSError, ValueError, RecursionError):
            raise UserError(f"{path} is not a run's summary: move it out of {folder}.") from None
        if other := next((each for each in results if each.name == result.name), None):
            raise UserError(
                f"{folder} has two results of {result.name}, {other.file} and {file}: keep one of "
                "them."
            )
        results.append(result)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give one of summaries or finished runs.")
    if not results:
        raise UserError(
            f"{folder} holds no results: give a folder of summary.json files or of finished runs."
        )
    return results


def collect(results: Sequence[Result]) -> list[Row]:
    """Collects the results of every published system; runs on other digits than MNIST are none."""
    rows = []
    for number, (name, system) in enumerate(SYSTEMS.items(), start=1):
        if (published := system.published) is None:
            continue
        runs = {each.name: each for each in results if each.system == name and each.data.official}
        described = runs.get(name)
        if system.as_run == system.config:  # the code did as it says: one recipe, no other protocol
            rows.append(Row(name, number, published, described, None))
        else:
            others = tuple(runs[each] for each in system.others if each in runs)
            rows.append(Row(name, number, published, runs.get(f"{name}_as_run"), described, others))
    return rows


def as_published(run: Result | None) -> Spread | None:
    """Returns a run's figure by the published protocol."""
    if run is None:
        return None
    return run.protocol.as_published if run.protocol else run.test


def total_sd(published: Published, ours: Spread) -> float:
    """Returns the sd of one run's figure: of the digits it was measured on, and of seeds."""
    p = published.value
    return math.sqrt(p * (1 - p) / published.examples + (ours.sd or 0.0) ** 2)


def verdict(published: Published, ours: Spread | None) -> str:
    """Returns whether the claim was reproduced, as text."""
    if ours is None:
        return "not run yet"
    gap = ours.mean - published.value
    if abs(gap) > 1.96 * total_sd(published, ours):
        return f"not reproduced: ours is {abs(100 * gap):.2f} {'higher' if gap > 0 else 'lower'}"
    bounds = interval(ours, one_run=True)
    if bounds and not bounds[0] <= published.value <= bounds[1]:
        return "reproduced, but outside our seeds' spread"
    return "reproduced"


def interval(of: Spread, *, one_run: bool = False) -> tuple[float, float] | None:
    """Returns the 95 % confidence interval of a mean of seeds; None of a single one.

    With `one_run` it is the interval in which one more run is expected.
    """
    from scipy.special import stdtrit

    count = len(of.values)
    if count < 2:
        return None
    half = float(stdtrit(count - 1, 0.975)) * (of.sd or 0.0) * math.sqrt(one_run + 1 / count)
    return of.mean - half, of.mean + half


def claimed(published: Published) -> str:
    """Returns a claim as it was made, and what its code's output says instead, if it does."""
    if fraction(published.claim) == published.value:
        return published.claim
    return f"{published.claim} (its output: {100 * published.value:.2f})"


def percent(of: Spread | None) -> str:
    """Formats mean and sd in percent."""
    if of is None:
        return "-"
    return f"{100 * of.mean:.2f}" + ("" if of.sd is None else f" ± {100 * of.sd:.2f}")


def audit(results: Sequence[Result], logs: Sequence[Compared] = ()) -> str:
    """Formats the audit as Markdown."""
    lines = [
        HEAD,
        "| # | system | claimed | measured on | as published | n | 95 % of the mean | "
        "test, last epoch | test, chosen epoch (n) | test selection bias | verdict |",
        "|" + "---|" * 11,
    ]
    rows = collect(results)
    for row in rows:
        ours = as_published(row.as_run)
        bounds = interval(ours) if ours else None
        as_run = _protocol(row.as_run)
        honest = _protocol(row.honest)
        bias = honest.test_selection_bias or as_run.test_selection_bias
        chosen = honest.chosen_epoch
        cells = [
            str(row.number),
            row.name,
            claimed(row.published),
            f"{row.published.measured_on}, {row.published.quoted} epoch",
            percent(ours),
            str(len(ours.values)) if ours else "-",
            f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f}" if bounds else "-",
            percent(as_run.last_epoch),
            f"{percent(chosen)} ({len(chosen.values)})" if chosen else "-",
            f"{100 * bias.mean:+.2f}" if bias else "-",
            verdict(row.published, ours),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += other_recipes(rows)
    lines += format_logs(logs)
    lines += ["", "## What a reader of the claims has to know", ""]
    lines += [f"- **{row.name}**: {row.published.note}" for row in rows]
    lines += ["", "## Where the figures come from", ""]
    used = [run for row in rows for run in (row.as_run, row.honest, *row.others) if run]
    seen = list(dict.fromkeys(run.file for run in used))
    lines += [f"- [{file}](results/{file})" for file in seen]
    return "\n".join(lines) + "\n"


def other_recipes(rows: Sequence[Row]) -> list[str]:
    """Formats the results of recipes that may have made a figure, beside those called as run."""
    lines = [
        "", "## Recipes that may have made a figure", "",
        "Where it is not known which recipe made a published figure, these were run, too: trained "
        "and measured like `:..._as_run`.", "",
        "| system | recipe | epochs | claimed | as published | n | test, last epoch | verdict |",
        "|" + "---|" * 8,
    ]  # fmt: skip
    for row in rows:
        for run in (row.as_run, *row.others) if row.others else ():
            if run and (ours := as_published(run)):
                cells = [
                    row.name, run.name, str(run.epochs), claimed(row.published), percent(ours),
                    str(len(ours.values)), percent(_protocol(run).last_epoch),
                    verdict(row.published, ours),
                ]  # fmt: skip
                lines.append("| " + " | ".join(cells) + " |")
    return lines


def table(results: Sequence[Result]) -> str:
    """Formats the README's table of the published systems beside ours."""
    lines = [
        "| system | parameters | claimed | measured on | ours, so measured | MNIST test | n |",
        "|" + "---|" * 7,
    ]
    parameters = {entry["name"]: entry["params"] for entry in list_models()}
    for row in collect(results):
        ours = as_published(row.as_run)
        test = _protocol(row.as_run).last_epoch or (row.as_run.test if row.as_run else None)
        cells = [
            row.name,
            f"{parameters[row.name]:,}",
            claimed(row.published),
            row.published.measured_on,
            percent(ours),
            percent(test),
            str(len(ours.values)) if ours else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _protocol(run: Result | None) -> Protocol:
    return (run and run.protocol) or NOTHING
