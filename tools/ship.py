"""Puts trained weights into the package: in 16 bits, tested again as they are, with a card.

  python -m tools.ship runs/reader runs/seq runs/swift runs/model_1

Each is named after its system, `jaxmnist/shipped/NAME.safetensors`, with a card beside it,
`NAME.json`. At last docs/weights.md is written, the page of all cards.
"""

import argparse
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from jaxmnist import config, recipes
from jaxmnist.api import Model, load_file, load_run
from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.metrics import calibration_error, coverage
from jaxmnist.models.summary import count_parameters
from jaxmnist.run.folder import read_json
from jaxmnist.runtime import configure_jax, device, git_commit, versions
from jaxmnist.shipped import FOLDER, SUFFIX, read_card, shipped_names
from jaxmnist.tasks import SURE
from jaxmnist.weights import save_weights

PAGE = Path(__file__).parent.parent / "docs" / "weights.md"
LICENCE = "MIT, as the code; MNIST itself is CC BY-SA 3.0"
LIMITS = {
    "digits": (
        "One digit of 28x28 pixels in MNIST's own form: bright on black, 20 pixels high, centred "
        "by its mass. Pictures of people are not in that form: `jaxmnist read` with `reader` is "
        "for those. What is no digit is read as one."
    ),
    "strings": (
        "Digits alone, written from the left to the right. Trained on MNIST, so on the shapes of "
        "North American hands of about 1990: a 1 with a long flag, or an open 4, may be misread. "
        "Letters that look like digits are read as digits."
    ),
}
HEAD = """\
# The weights in the package

Written by `python -m tools.ship RUN...`, from the cards beside the weights
(`jaxmnist/shipped/NAME.json`). All were trained with this code, on MNIST's 60,000 training digits
less those held out for validation. Test figures are those of the shipped file, on MNIST's test
digits (or strings of them), with Wilson's interval of 95 %; `pytest tests/test_shipped.py` measures
them again. Numbers are stored in 16 bits: what that changed stands in the last column.

```python
import jaxmnist

reader = jaxmnist.load("reader")
```
"""


def measure(model: Model) -> dict[str, Any]:
    """Returns what a network does on all of its suites, and what its confidences are worth."""
    metric = model.loaded.task.metric
    suites: dict[str, float] = {}
    calibration: dict[str, float] = {}
    n = 0
    for name in model.loaded.task.suites:
        ((score, found),) = model.score_suites([name]).values()
        suites[name] = score[metric]
        if name == "clean":
            n = score["n"]
            right = (found.predicted == found.labels).all(1)
            confidences = np.asarray(found.confidences)
            calibration = {
                "calibration_error": calibration_error(confidences, right),
                "coverage": coverage(confidences, right, SURE),
            }
        print(f"{model.metadata.name} {name:<24}{suites[name]:>8.2%}", flush=True)
    clean = suites["clean"]
    return {
        "test": {
            "metric": metric,
            "value": clean,
            "n": n,
            "interval": list(binomtest(round(clean * n), n).proportion_ci(method="wilson")),
        },
        "suites": suites,
        "calibration": calibration,
    }


def recipe_of(name: str) -> str:
    """Returns the recipe of a configuration, by the name that this gives itself."""
    for path in sorted(recipes.shipped().glob("[!_]*.py")):
        for variant in recipes.variants(path.stem):
            if recipes.load(f"{path.stem}:{variant}" if variant else path.stem).name == name:
                return f"configs/{path.name}" + f":{variant}" * bool(variant)
    raise UserError(f"no recipe calls itself {name}: only weights of shipped recipes are shipped.")


def command_of(summary: dict[str, Any]) -> str:
    """Returns the command that made a run: its recipe, and the fields that were set besides."""
    recipe = recipe_of(summary["name"])
    own = config.flatten(config.to_dict(config.from_dict(recipes.load(recipe).to_dict())))
    # What has been added to the recipe since has its default: off.
    fields = config.flatten(config.to_dict(config.from_dict(summary["config"])))
    changed = [
        " " + shlex.quote(f"--config.{name}={value}")
        for name, value in fields.items()
        if name not in (*config.LOCATION_FIELDS, "system") and own[name] != value
    ]
    return f"python launch.py --config={recipe}" + "".join(changed)


def ship(run: Path, commit: str | None) -> str:
    """Writes the weights of a run, and their card; returns their name.

    Args:
      run: the run folder.
      commit: of the source tree that measures them.

    Raises:
      UserError: if the run is not finished, or was trained on other digits than MNIST.
    """
    summary = read_json(run / "summary.json")
    if not isinstance(summary, dict) or summary["data"]["name"] != "MNIST":
        raise UserError(f"{run} is no finished run on MNIST: only such weights are shipped.")
    name = summary["config"]["system"] or summary["name"]
    original = load_run(run)
    start = summary["config"]["init_from"]
    began_with = read_card(start)["training"] if start in shipped_names() else None
    path = FOLDER / f"{name}{SUFFIX}"
    FOLDER.mkdir(exist_ok=True)
    save_weights(path, original.loaded.weights, original.metadata, half=True)
    shipped = load_file(path)
    measured = measure(shipped)
    noun = "strings" if shipped.loaded.network.architecture.heads is None else "digits"
    card = {
        "name": name,
        "model": shipped.metadata.model,
        "params": count_parameters(shipped.params),
        "file": {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "numbers": "float16",
        },
        "training": {
            "command": command_of(summary),
            "seed": shipped.metadata.seed,
            "epoch": shipped.metadata.epoch,
            "data": {
                key: summary["data"][key] for key in ("name", "fingerprint", "train_examples")
            },
            "seconds": summary["seconds"]["train"],
            "device": summary["device"],
            "versions": summary["versions"],
            "git_commit": summary["git_commit"],
            "began_with": began_with,  # the training of the weights that it went on with
        },
        **measured,
        "in_32_bits": summary["suites"]["clean"]["values"][0],
        "limits": LIMITS[noun],
        "licence": LICENCE,
        "measured_on": {"device": device(), "versions": versions(), "git_commit": commit},
    }
    atomic_write(FOLDER / f"{name}.json", json.dumps(card, indent=2) + "\n")
    return name


def page() -> str:
    """Returns the page of all cards: a table, and what their limits are."""
    lines = [HEAD]
    lines += ["| name | parameters | bytes | test | 95 % | n | calibration error | in 32 bits |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    cards = [read_card(name) for name in shipped_names()]
    for card in cards:
        test, low_high = card["test"], card["test"]["interval"]
        cells = [
            f"[{card['name']}](#{card['name']})",
            f"{card['params']:,}",
            f"{card['file']['bytes']:,}",
            f"{100 * test['value']:.2f} %",
            f"{100 * low_high[0]:.2f} to {100 * low_high[1]:.2f}",
            f"{test['n']:,}",
            f"{card['calibration']['calibration_error']:.4f}",
            f"{100 * card['in_32_bits']:.2f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Together {sum(card['file']['bytes'] for card in cards):,} bytes."]
    for card in cards:
        training, file = card["training"], card["file"]
        suites = ", ".join(f"{name} {100 * value:.2f}" for name, value in card["suites"].items())
        lines += ["", f"## {card['name']}", "", f"- Trained by {_training(training)}."]
        if before := training.get("began_with"):
            lines.append(f"- Before that by {_training(before)}.")
        lines += [
            f"- Suites, {card['test']['metric'].replace('_', ' ')} in percent: {suites}.",
            f"- Confidence: calibration error {card['calibration']['calibration_error']:.4f}; the "
            f"surest {100 * card['calibration']['coverage']:.1f} % are {100 * SURE:.1f} % right.",
            f"- Limits: {card['limits']}",
            f"- Licence: {card['licence']}.",
            f"- sha256 of the file: `{file['sha256']}`",
        ]
    return "\n".join(lines) + "\n"


def _training(training: dict[str, Any]) -> str:
    return (
        f"`{training['command']}`, seed {training['seed']}, epoch {training['epoch']}, at "
        f"{training['git_commit']}, in {training['seconds']:,.0f} s on {training['device']} with "
        f"JAX {training['versions']['jax']}, on {training['data']['train_examples']:,} digits of "
        f"{training['data']['name']}"
    )


def main() -> None:
    """Ships the weights of runs, and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="a finished run on MNIST")
    chosen = parser.parse_args()
    configure_jax()
    commit = git_commit()  # now: what is written changes the source tree
    for run in chosen.runs:
        print(f"{run}: {ship(run, commit)}", flush=True)
    atomic_write(PAGE, page())


if __name__ == "__main__":
    main()
