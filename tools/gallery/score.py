"""What is right, what is wrong and why, kind by kind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxmnist.reader.read import SURE


@dataclass(frozen=True)
class Answer:
    """What a program read, and how sure it is; programs that do not say are sure."""

    text: str  # lines separated by `/`; empty: nothing
    confidence: float = 1.0


@dataclass(frozen=True)
class Scored:
    """An answer beside the truth."""

    kind: str
    label: str
    answer: Answer

    @property
    def is_right(self) -> bool:
        """Every digit and every line; of nothing: nothing, or nothing that it is sure of."""
        return self.cause == "right"

    @property
    def is_wrong_and_confident(self) -> bool:
        """It looks like an answer, and is wrong."""
        is_answer = bool(self.answer.text) and self.answer.confidence >= SURE
        return is_answer and self.answer.text != self.label

    @property
    def cause(self) -> str:
        """What went wrong, as far as text alone tells; `right` if nothing did."""
        text, label = self.answer.text, self.label
        if text == label or not (label or self.answer.confidence >= SURE):
            return "right"
        if not label:
            return "read where nothing is written"
        if not text:
            return "found nothing"
        if text.count("/") != label.count("/"):
            return "wrong number of lines"
        if [len(line) for line in text.split("/")] != [len(line) for line in label.split("/")]:
            return "digits missing" if len(text) < len(label) else "digits too many or elsewhere"
        return "a digit unknown" if "?" in text else "wrong digit"


def summarise(scored: Sequence[Scored]) -> dict[str, Any]:
    """Returns the figures of one program: of all, kind by kind, and the causes of errors."""
    kinds = dict.fromkeys(each.kind for each in scored)
    return {
        "n": len(scored),
        "right": _share(each.is_right for each in scored),
        "wrong_and_confident": _share(each.is_wrong_and_confident for each in scored),
        "kinds": {kind: _of_kind([s for s in scored if s.kind == kind]) for kind in kinds},
    }


def _of_kind(scored: Sequence[Scored]) -> dict[str, Any]:
    length = sum(len(each.label) for each in scored)
    wrong = sum(edits(each.label, each.answer.text) for each in scored)
    causes = Counter(each.cause for each in scored if not each.is_right)
    return {
        "n": len(scored),
        "right": _share(each.is_right for each in scored),
        "digits_right": max(1 - wrong / length, 0.0) if length else None,
        "causes": dict(sorted(causes.items())),
    }


def edits(label: str, text: str) -> int:
    """Returns how many characters have to be changed, put in or left out (Levenshtein, 1966)."""
    row = list(range(len(text) + 1))
    for i, wanted in enumerate(label, 1):
        before, row = row, [i]
        for j, got in enumerate(text, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (wanted != got)))
    return row[-1]


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """Returns a table: a row for each program, a column for each kind."""
    kinds = list(dict.fromkeys(kind for each in results.values() for kind in each["kinds"]))
    counts = {k: each["n"] for result in results.values() for k, each in result["kinds"].items()}
    head = " | ".join(
        ["", *(f"{kind} ({counts[kind]})" for kind in kinds), "all", "wrong and sure"]
    )
    rows = [f"|{head} |", "|" + "---|" * (len(kinds) + 3)]
    for name, result in results.items():
        cells = [f"{100 * result['kinds'][kind]['right']:.1f}" for kind in kinds]
        cells += [f"{100 * result['right']:.1f}", f"{100 * result['wrong_and_confident']:.1f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _share(values: Any) -> float:
    values = list(values)
    return round(sum(values) / max(len(values), 1), 6)
