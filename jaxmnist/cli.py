"""What people type: `jaxmnist VERB`. Heavy imports wait until a verb needs them."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from jaxmnist import __version__
from jaxmnist.config import field_list
from jaxmnist.entry import accept_any_output, exit_on_error
from jaxmnist.errors import UserError
from jaxmnist.files import user_path

if TYPE_CHECKING:
    from jaxmnist.api import Model

Verb = Callable[[argparse.Namespace], None]

ABOUT = "Reads handwritten digits with small JAX models, and trains them."
TRAIN = """\
examples:
  jaxmnist train seq                        the default: minutes on two cores
  jaxmnist train seq:tiny                   the whole path in seconds
  jaxmnist train models:model_3 --config.seed=7 --workdir runs/seven
  jaxmnist train mine.py                    a config file of your own

Started again with the same --workdir, an unfinished run goes on where it was and a finished one is
only reported. The last line on stdout is the path of summary.json. Ctrl-C or SIGTERM saves and
leaves, with exit code 130 or 143. `python launch.py --config=CONFIG` is the same job.

fields, with their defaults:
"""
EVALUATE = """\
examples:
  jaxmnist evaluate --run runs/seq                        all suites on MNIST test digits
  jaxmnist evaluate --run runs/seq --suite rotation       one of them
  jaxmnist evaluate --run runs/seq --data mine.npz --json your own labelled images

  jaxmnist evaluate --weights theirs.pth                  a PyTorch state dict of a published model

An npz file holds x, uint8 (N,28,28) or (N,28,W), 0 = ground and 255 = ink, or floats from 0 to 1,
and y, (N,) or (N,K) padded with 10; without y the answers are printed. Keras's mnist.npz, Kaggle's
train.csv and a folder of idx files (its test digits) are read, too. Accuracies are printed in
percent, and are fractions in JSON.
"""


EXPORT = """\
examples:
  jaxmnist export --run runs/models-model_3 --format torch --out model_3.pth
  jaxmnist export --weights FILE --format safetensors --out model_3.safetensors
  jaxmnist export --weights FILE --format torch --names original --out for_their_code.pth

They hold the state_dict of the same layers in a plain PyTorch nn.Sequential, as model.txt lists
them, or with --names original that of the published module. Load the first with
torch.load(FILE, weights_only=True), then model.load_state_dict(...).
The network takes images (N, 1, 28, width) with values (x / 255 - 0.1307) / 0.3081, ink being 255.
"""

BENCH = """\
examples:
  jaxmnist bench                                          v_1 beside PyTorch: under a minute
  jaxmnist bench --systems classifiers --batch 64,128 --out bench.json --chart bench.png
  jaxmnist bench --systems model_3 --against published --augment --rounds 3

All train in this process on the same cores, and take turns. eager, channels_last and compile
are PyTorch with its digits in memory, published is each system's own DataLoader, image by
image, and on a GPU there is cuda_graphs, too. ours/theirs above 1 means that we are faster.
"""

SPEEDRUN = """\
examples:
  jaxmnist speedrun 99                 ten trainings with configs/speedrun.py:to_99, one by one
  jaxmnist speedrun 99.4 --runs 5 --out speedrun.json

A training's time goes from loading the digits to its last step. Compiling is reported
apart, and so is reading the test digits, which happens once, with the weights of the last step.
"""


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one sentence, as every other mistake is answered."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: type `{self.prog} --help` to see what it takes.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code, which `exit_on_error` explains."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    accept_any_output()
    try:
        with exit_on_error():
            if given[:1] == ["train"] and not {"-h", "--help"} & set(given):
                _train(given[1:])  # absl reads these flags, as it does those of launch.py
            else:
                chosen = _parser().parse_args(given)
                chosen.function(chosen)
    except SystemExit as leave:
        return int(leave.code or 0)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="jaxmnist", description=ABOUT)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True)

    def verb(name: str, function: Verb | None, summary: str, epilog: str = "") -> Parser:
        added = verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(function=function)
        return added

    train = verb(
        "train", None, "train a recipe, evaluate it and write a run folder", TRAIN + field_list()
    )
    train.add_argument("config", metavar="CONFIG[:VARIANT]", help="a recipe's name, or its file")
    train.add_argument("--workdir", metavar="DIR", help="default: runs/<config>[-<variant>]")
    train.add_argument("--config.FIELD", metavar="VALUE", help="any of the fields below")

    models = verb("models", _models, "list every system: its size, its recipe, what was published")
    models.add_argument("--json", action="store_true", help="print JSON")

    evaluate = verb(
        "evaluate",
        _evaluate,
        "measure a trained network on suites or on your own labelled images",
        EVALUATE,
    )
    _add_network(evaluate)
    evaluate.add_argument("--suite", metavar="NAME", help="one suite instead of all")
    evaluate.add_argument(
        "--data", type=user_path, metavar="FILE.npz", help="your own images; .csv or a folder, too"
    )
    evaluate.add_argument(
        "--predictions",
        type=user_path,
        metavar="FILE.npy",
        help="save predicted labels, (N,) or (N,K)",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")

    export = verb("export", _export, "write a trained network for other software", EXPORT)
    _add_network(export)
    export.add_argument("--format", required=True, choices=["torch", "safetensors"])
    export.add_argument(
        "--names",
        choices=["sequential", "original"],
        default="sequential",
        help="of the layers: those of nn.Sequential (0.weight), or of the published code "
        "(conv1.weight); default sequential",
    )
    export.add_argument(
        "--out", type=user_path, required=True, metavar="FILE", help="what to write"
    )

    audit = verb("audit", _audit, "compare the results of runs with what was published")
    audit.add_argument(
        "results",
        type=user_path,
        help="folder of summary.json files (any names) or of finished runs, or a finished run",
    )
    audit.add_argument(
        "--out", type=user_path, metavar="FILE.md", help="write there, not to the screen"
    )
    audit.add_argument("--table", action="store_true", help="only the short table of the README")

    bench = verb("bench", _bench, "measure how fast training is beside PyTorch", BENCH)
    bench.add_argument(
        "--systems", default="v_1", metavar="LIST", help="names, classifiers or all; default v_1"
    )
    bench.add_argument("--batch", default="64", metavar="LIST", help="batch sizes; default 64")
    bench.add_argument(
        "--against",
        metavar="LIST",
        help="of eager, channels_last, compile, published, cuda_graphs; default eager, "
        "channels_last, and on a GPU cuda_graphs",
    )
    bench.add_argument("--rounds", type=int, default=5, help="turns of each; default 5")
    bench.add_argument("--seconds", type=float, default=2.0, help="of a turn, about; default 2")
    bench.add_argument("--augment", action="store_true", help="augment as the recipe says")
    bench.add_argument("--seeds", type=int, default=1, help="models trained; default 1")
    bench.add_argument("--threads", type=int, help="default: a thread for each core")
    _add_source(bench)
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.add_argument(
        "--out", type=user_path, metavar="FILE.json", help="write the JSON there, too"
    )
    bench.add_argument("--chart", type=user_path, metavar="FILE.png", help="draw bars")

    race = verb("speedrun", _speedrun, "measure how long training takes to an accuracy", SPEEDRUN)
    goals = ["98", "99", "99.4"]
    race.add_argument(
        "to", choices=goals, metavar="|".join(goals), help="percent of the test digits to be right"
    )
    race.add_argument("--runs", type=int, default=10, help="whole trainings; default 10")
    _add_source(race)
    race.add_argument(
        "--held-out", action="store_true", help="read held-out digits instead: for tuning"
    )
    race.add_argument("--json", action="store_true", help="print JSON")
    race.add_argument(
        "--out", type=user_path, metavar="FILE.json", help="write the JSON there, too"
    )
    return parser


def _add_network(parser: Parser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", type=user_path, metavar="DIR", help="a finished run's folder")
    network.add_argument(
        "--weights", type=user_path, metavar="FILE", help="a weights file, or a state dict"
    )


def _add_source(parser: Parser) -> None:
    parser.add_argument(
        "--source",
        choices=["auto", "tfds", "dir", "digits8x8"],
        default="auto",
        help="of digits, as in config.data.source; default auto",
    )


def _train(arguments: list[str]) -> None:
    from absl import flags

    from jaxmnist import job

    flag_values = flags.FlagValues()
    job.define_flags(flag_values)
    job.run(job.parse(["jaxmnist train", *arguments], flag_values))


def _models(chosen: argparse.Namespace) -> None:
    from jaxmnist.runtime import configure_jax
    from jaxmnist.systems.listing import format_models, list_models

    configure_jax()
    listed = list_models()
    print(json.dumps(listed, indent=2) if chosen.json else format_models(listed))


def _audit(chosen: argparse.Namespace) -> None:
    from jaxmnist.outputs import check_outputs, write_text
    from jaxmnist.runtime import configure_jax
    from jaxmnist.systems.audit import audit, read_results, table
    from jaxmnist.systems.logs import read_logs

    configure_jax()
    check_outputs(chosen.out, inputs=chosen.results.glob("**/*.json"))
    results = read_results(chosen.results)
    text = table(results) if chosen.table else audit(results, read_logs(chosen.results))
    if chosen.out is None:
        print(text, end="")
    else:
        write_text(chosen.out, text)


def _export(chosen: argparse.Namespace) -> None:
    from jaxmnist.formats.original_names import ORIGINAL_NAMES
    from jaxmnist.formats.pth import write_pth, write_safetensors
    from jaxmnist.formats.state_dict import to_state_dict
    from jaxmnist.outputs import cannot_write, check_outputs
    from jaxmnist.runtime import configure_jax

    check_outputs(chosen.out, inputs=[chosen.weights])
    configure_jax()
    loaded = _load(chosen).loaded
    original = None
    if chosen.names == "original":
        original = ORIGINAL_NAMES.get(loaded.metadata.model)
        if original is None:
            raise UserError(
                f"the original layer names of {loaded.metadata.model} are not known, as no code of "
                "it was published: leave --names out."
            )
        if original.unused:
            print(
                f"The published network has layers, too, that it never uses "
                f"({', '.join(original.unused)}), and the file has not: load it with strict=False.",
                file=sys.stderr,
            )
    state = to_state_dict(loaded.network.architecture, loaded.weights._asdict(), original)
    write = {"torch": write_pth, "safetensors": write_safetensors}[chosen.format]
    try:
        write(chosen.out, state)
    except OSError as error:
        raise cannot_write(chosen.out, error) from None
    print(chosen.out)


def _evaluate(chosen: argparse.Namespace) -> None:
    if chosen.data and chosen.suite is not None:
        raise UserError("--suite and --data exclude each other: a suite has digits of its own.")
    if chosen.predictions and not (chosen.data or chosen.suite is not None):
        raise UserError("--predictions needs --data or one --suite, to know which to save.")

    from jaxmnist.answers import answer_file, answer_suites, format_answer, save_predictions
    from jaxmnist.outputs import check_outputs
    from jaxmnist.runtime import configure_jax

    check_outputs(chosen.predictions, inputs=[chosen.data, chosen.weights])
    configure_jax()
    model = _load(chosen)
    answer, predictions = (
        answer_file(model, chosen.data) if chosen.data else answer_suites(model, chosen.suite)
    )
    if chosen.predictions and predictions:
        save_predictions(chosen.predictions, predictions)
    print(json.dumps(answer, indent=2) if chosen.json else format_answer(answer))


def _load(chosen: argparse.Namespace) -> "Model":
    from jaxmnist.api import load_file, load_run

    model = load_run(chosen.run) if chosen.run else load_file(chosen.weights)
    for note in model.loaded.notes:
        print(note, file=sys.stderr)
    return model


def _bench(chosen: argparse.Namespace) -> None:
    from jaxmnist.bench.machine import prepare_process
    from jaxmnist.bench.options import (
        Options,
        check_numbers,
        find_baselines,
        find_batch_sizes,
        find_systems,
    )
    from jaxmnist.outputs import check_outputs, write_output, write_text
    from jaxmnist.runtime import configure_jax

    options = Options(
        systems=find_systems(chosen.systems),
        batch_sizes=find_batch_sizes(chosen.batch),
        against=() if chosen.against is None else find_baselines(chosen.against),
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        augment=chosen.augment,
        seeds=chosen.seeds,
        threads=chosen.threads,
        source=chosen.source,
    )
    check_numbers(options)
    check_outputs(chosen.out, chosen.chart)
    prepare_process(options.threads)
    configure_jax()  # now that this process has its cores

    from jaxmnist.bench.chart import draw_chart
    from jaxmnist.bench.compare import compare
    from jaxmnist.bench.report import table

    report = compare(options)
    text = json.dumps(report, indent=2)
    print(text if chosen.json else table(report), flush=True)  # first: it took minutes
    if chosen.out:
        write_text(chosen.out, f"{text}\n")
    if chosen.chart:
        write_output(chosen.chart, lambda file: draw_chart(file, report))


def _speedrun(chosen: argparse.Namespace) -> None:
    if chosen.runs < 1:
        raise UserError(f"--runs is {chosen.runs}: it must be at least 1.")

    from jaxmnist import config, recipes
    from jaxmnist.bench.speedrun import format_report, time_to_accuracy
    from jaxmnist.outputs import check_outputs, write_text
    from jaxmnist.runtime import configure_jax

    check_outputs(chosen.out)
    recipe = recipes.load(f"speedrun:to_{chosen.to.replace('.', '')}")
    recipe.data.source = chosen.source
    configure_jax()
    report = time_to_accuracy(
        config.from_dict(recipe.to_dict()),
        chosen.runs,
        on_held_out=chosen.held_out,
        log=lambda line: print(line, file=sys.stderr, flush=True),
    )
    text = json.dumps(report, indent=2)
    print(text if chosen.json else format_report(report), flush=True)
    if chosen.out:
        write_text(chosen.out, f"{text}\n")
