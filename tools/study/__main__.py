"""What each part of the recogniser of strings is worth, on validation digits alone.

  python -m tools.study --workdir runs/study --out results/study.json

Every variant is the base recipe with some fields changed, trained with each seed and measured on
the suites over held-out digits. What is measured is not repeated: the table can be made in pieces,
and by several processes that are given different `--variants`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxmnist.config import Config
from jaxmnist.data.sources import load_splits
from jaxmnist.evaluation import Evaluator, ExampleList, suite_scores
from jaxmnist.files import atomic_write
from jaxmnist.rng import Stream
from jaxmnist.runtime import configure_jax, provenance
from jaxmnist.sharding import put_on_device
from jaxmnist.training import train
from jaxmnist.weights import FILE_NAME, load_weights
from tools.study.variants import BASE, SHORT, VARIANTS, variant_config

SUITES = (
    "clean", "inverted", "rotation", "noise", "noise_30", "noise_50", "length_10", "free",
    "touching", "overlapping", "repeated", "size", "stroke", "blur", "light", "rotated_canvas",
    "lines", "blank", "noise_only",
)  # fmt: skip


def measure(config: Config, workdir: Path) -> dict[str, Any]:
    """Trains a configuration and measures it on held-out digits, unless that is done already."""
    done = workdir / "study.json"
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    summary = train(config, workdir)
    loaded = load_weights(workdir / FILE_NAME)
    suites = loaded.task.suites
    examples = ExampleList(
        dataset=put_on_device(load_splits(config.data).validation),
        suites={name: suites[name] for name in SUITES},
        count=config.validation.examples,
        seed=config.data.split_seed,
        streams=(Stream.VALIDATION_DRAW, Stream.VALIDATION_AUGMENT),
    )
    evaluator = Evaluator(loaded.task, loaded.network)
    scores = suite_scores(evaluator, loaded.weights, examples, SUITES)
    found = {name: score[loaded.task.metric] for name, (score, _) in scores.items()}
    found |= {"train_seconds": summary.seconds.train, "params": summary.params}
    atomic_write(done, json.dumps(found) + "\n")
    return found


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Formats means over seeds, in percent, a line each variant."""
    lines = ["variant".ljust(34) + "n  " + " ".join(f"{name[-9:]:>9}" for name in SUITES)]
    for variant, found in rows.items():
        means = [100 * np.mean([one[name] for one in found]) for name in SUITES]
        cells = " ".join(f"{mean:>9.2f}" for mean in means)
        lines.append(f"{variant:<34}{len(found)}  {cells}")
    return "\n".join(lines)


def main() -> None:
    """Trains and measures what is missing, and writes the table after each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workdir", type=Path, required=True, help="of the runs")
    parser.add_argument("--out", type=Path, required=True, help="the table as JSON")
    chosen = parser.parse_args()
    configure_jax()
    rows: dict[str, list[dict[str, Any]]] = {}
    for seed in range(chosen.seeds):  # every variant once before any twice
        for name in chosen.variants:
            workdir = chosen.workdir / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
            rows.setdefault(name, []).append(measure(variant_config(name, seed), workdir))
            report = {"base": BASE, "changes": SHORT, "variants": rows, "seeds": seed + 1}
            report |= provenance()
            atomic_write(chosen.out, (json.dumps(report, indent=2) + "\n").encode())
            print(table(rows), flush=True)


if __name__ == "__main__":
    main()
