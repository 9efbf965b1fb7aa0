"""Populations whose members differ in learning rate, as a sweep trains them, taken apart."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmnist.report.runs import Figure, Outcome, Run, is_number
from jaxmnist.run.predictions import Answers

PREFIX = "population."


def settings(run: Run) -> list[Run]:
    """Returns the run; of a population a run for each learning rate, over its seeds."""
    rates, seeds = (run.fields.get(PREFIX + name) for name in ("learning_rates", "seeds"))
    if not isinstance(rates, list) or not isinstance(seeds, list) or len(rates) != len(seeds):
        return [run]
    columns = [each for row in run.history for each in row.get("seeds", {}).values()]
    sound = all(is_number(rate) and 0 < rate < math.inf for rate in rates)
    if not sound or any(len(each) != len(rates) for each in columns):
        return [run]
    fields = {name: v for name, v in run.fields.items() if not name.startswith(PREFIX)}
    finite = _finite(run, len(rates))
    found = []
    for rate in sorted(set(rates)):
        members = [member for member, own in enumerate(rates) if own == rate]
        places = [place for place, member in enumerate(finite) if member in members]
        own = {
            "schedule.learning_rate": rate,
            "seed": seeds[members[0]],
            "num_seeds": len(members),
        }
        found.append(
            dataclasses.replace(
                run,
                part=f"{rate:g}" if len(set(rates)) > 1 else "",
                fields=fields | own,
                history=[_row(row, members) for row in run.history],
                outcome=run.outcome and _outcome(run.outcome, places),
                answers=run.answers and _answers(run.answers, members),
            )
        )
    return found


def _finite(run: Run, count: int) -> list[int]:
    """Returns the members that have figures in the summary."""
    last = run.history[-1].get("seeds", {}).get("validation_loss") if run.history else None
    known = last if isinstance(last, list) and len(last) == count else [0.0] * count
    return [member for member, value in enumerate(known) if value is not None]


def _row(row: dict[str, Any], members: Sequence[int]) -> dict[str, Any]:
    """Returns a line of metrics.jsonl as these members alone would have written it."""
    if "seeds" not in row:
        return row
    seeds = {name: [values[member] for member in members] for name, values in row["seeds"].items()}
    means = {}
    for name, values in seeds.items():
        finite = [value for value in values if value is not None]
        means[name] = float(np.mean(finite)) if finite else None
    return row | means | {"seeds": seeds if len(members) > 1 else {}}


def _outcome(outcome: Outcome, places: Sequence[int]) -> Outcome:
    suites = {name: _figure(figure, places) for name, figure in outcome.suites.items()}
    return dataclasses.replace(
        outcome,
        test=outcome.test and _figure(outcome.test, places),
        suites={name: figure for name, figure in suites.items() if figure},
    )


def _figure(figure: Figure, places: Sequence[int]) -> Figure | None:
    values = [figure.values[place] for place in places if place < len(figure.values)]
    if not values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Figure(float(np.mean(values)), values, sd)


def _answers(answers: Answers, members: Sequence[int]) -> Answers | None:
    """Returns the answers of some members; pictures are of one, and stay with it."""
    rows = [row for row, member in enumerate(answers.members) if member in members]
    if not rows:
        return None
    own = answers.pictured in members
    return dataclasses.replace(
        answers,
        predicted=answers.predicted[rows],
        confidences=answers.confidences[rows],
        members=tuple(answers.members[row] for row in rows),
        pictured=answers.pictured if own else answers.members[rows[0]],
        mistakes=answers.mistakes if own else answers.mistakes[:0],
        images=answers.images if own else answers.images[:0],
    )
