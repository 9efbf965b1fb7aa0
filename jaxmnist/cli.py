"""What people type: `jaxmnist VERB`. Heavy imports wait until a verb needs them."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from jaxmnist import __version__
from jaxmnist.errors import UserError

if TYPE_CHECKING:
    from jaxmnist.data.sources import Source

Function = Callable[[argparse.Namespace], None]

# What a run has written about itself.
RUN_FILES = {"config.json", "metrics.jsonl", "model.txt", "summary.json", "weights.safetensors"}
ABOUT = "Reads handwritten digits with small JAX models. Training is `python launch.py --help`."
EVALUATE = """\
examples:
  jaxmnist evaluate --run runs/seq                        all suites on MNIST test digits
  jaxmnist evaluate --run runs/seq --suite rotation       one of them
  jaxmnist evaluate --run runs/seq --data mine.npz --json your own labelled images

An npz file holds x, uint8 (N,28,28) or (N,28,W), 0 = ground and 255 = ink, and y, (N,) or (N,K)
padded with 10. Accuracies are printed in percent, and are fractions in JSON.
"""


EXPORT = """\
examples:
  jaxmnist export --run runs/models-model_3 --format torch --out model_3.pth
  jaxmnist export --weights FILE --format safetensors --out model_3.safetensors

Both hold the state_dict of the same layers in a plain PyTorch nn.Sequential, as model.txt lists
them: load the first with torch.load(FILE, weights_only=True), then model.load_state_dict(...).
The network takes images (N, 1, 28, width) with values (x / 255 - 0.1307) / 0.3081, ink being 255.
"""

BENCH = """\
examples:
  jaxmnist bench                                          v_1 beside PyTorch: under a minute
  jaxmnist bench --systems classifiers --batch 64,128 --out bench.json --chart bench.png
  jaxmnist bench --systems model_3 --against published --augment --rounds 3

All train in this process on the same cores, and take turns. eager, channels_last and compile
are PyTorch with its digits in memory, published is its DataLoader with PIL transforms image by
image, and on a GPU there is cuda_graphs, too. ours/theirs above 1 means that we are faster.
"""

SPEEDRUN = """\
examples:
  jaxmnist speedrun 99                 ten trainings with configs/speedrun.py:to_99, one by one
  jaxmnist speedrun 99.4 --runs 5 --out speedrun.json

A training's time goes from loading the digits to its last step. Compiling is told apart, and so is
reading the test digits, which happens once, with the weights of the last step.
"""


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with a command line, as everything here is said."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: type `{self.prog} --help` to see what it takes.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code: 0, or 2 if something has to be mended."""
    parser = Parser(prog="jaxmnist", description=ABOUT)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True)

    def verb(name: str, function: Function, about: str, epilog: str = "") -> Parser:
        added = verbs.add_parser(
            name,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(function=function)
        return added

    models = verb("models", _models, "list every system: its size, its recipe, what was published")
    models.add_argument("--json", action="store_true", help="print JSON")

    about = "measure a trained network on suites or on your own labelled images"
    evaluate = verb("evaluate", _evaluate, about, EVALUATE)
    _add_network(evaluate)
    evaluate.add_argument("--suite", metavar="NAME", help="one suite instead of all")
    evaluate.add_argument("--data", type=Path, metavar="FILE.npz", help="your own images")
    evaluate.add_argument(
        "--predictions", type=Path, metavar="FILE.npy", help="save predicted labels, (N,) or (N,K)"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")

    export = verb("export", _export, "write a trained network for other software", EXPORT)
    _add_network(export)
    export.add_argument("--format", required=True, choices=["torch", "safetensors"])
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="what to write")

    audit = verb("audit", _audit, "compare the results of runs with what was published")
    audit.add_argument(
        "results", type=Path, help="folder of summary.json files (any names) or of finished runs"
    )
    audit.add_argument("--out", type=Path, metavar="FILE.md", help="write there, not to the screen")
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
    bench.add_argument(
        "--source", default="auto", help="of digits, as in config.data.source; default auto"
    )
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.add_argument("--out", type=Path, metavar="FILE.json", help="write the JSON there, too")
    bench.add_argument("--chart", type=Path, metavar="FILE.png", help="draw bars")

    race = verb("speedrun", _speedrun, "measure how long training takes to an accuracy", SPEEDRUN)
    goals = ["98", "99", "99.4"]
    race.add_argument(
        "to", choices=goals, metavar="|".join(goals), help="percent of the test digits to be right"
    )
    race.add_argument("--runs", type=int, default=10, help="whole trainings; default 10")
    race.add_argument("--source", default="auto", help="of digits, as in config.data.source")
    race.add_argument(
        "--held-out", action="store_true", help="read held-out digits instead: for tuning"
    )
    race.add_argument("--json", action="store_true", help="print JSON")
    race.add_argument("--out", type=Path, metavar="FILE.json", help="write the JSON there, too")

    try:
        _take_any_output()
        chosen = parser.parse_args(arguments)
        chosen.function(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # of the output: what is read and written says so where that is done
        what = error.filename or "the output"
        print(f"error: {what} cannot be written ({error.strerror}): mend that.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _take_any_output() -> None:
    """Makes printing safe where standard output is closed, or has letters for ASCII only."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for the whole process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _add_network(parser: Parser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", type=Path, metavar="DIR", help="a finished run's folder")
    network.add_argument("--weights", type=Path, metavar="FILE", help="a weights file")


def _models(chosen: argparse.Namespace) -> None:
    from jaxmnist.systems.listing import list_models, words

    listed = list_models()
    print(json.dumps(listed, indent=2) if chosen.json else words(listed))


def _audit(chosen: argparse.Namespace) -> None:
    from jaxmnist.systems.audit import audit, read_results, table

    _check_files(chosen.out, inputs=chosen.results.glob("**/*.json"))
    summaries = read_results(chosen.results)
    text = table(summaries) if chosen.table else audit(summaries)
    if chosen.out is None:
        print(text, end="")
        return
    _write(chosen.out, lambda file: file.write(text.encode()))


def _export(chosen: argparse.Namespace) -> None:
    from jaxmnist.models.torch_layout import to_state_dict
    from jaxmnist.storage.torch_files import write_pth, write_safetensors
    from jaxmnist.storage.weights import FILE_NAME, load_weights

    _check_files(chosen.out, inputs=[chosen.weights])
    loaded = load_weights(chosen.run / FILE_NAME if chosen.run else chosen.weights)
    state = to_state_dict(loaded.network.architecture, loaded.weights._asdict())
    write = {"torch": write_pth, "safetensors": write_safetensors}[chosen.format]
    try:
        write(chosen.out, state)
    except OSError as error:
        raise _unwritable(chosen.out, error) from None
    print(chosen.out)


def _bench(chosen: argparse.Namespace) -> None:
    from jaxmnist.bench.machine import prepare_process
    from jaxmnist.bench.options import (
        Options,
        check_numbers,
        find_batch_sizes,
        find_rivals,
        find_systems,
    )

    options = Options(
        systems=find_systems(chosen.systems),
        batch_sizes=find_batch_sizes(chosen.batch),
        against=() if chosen.against is None else find_rivals(chosen.against),
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        augment=chosen.augment,
        seeds=chosen.seeds,
        threads=chosen.threads,
        source=chosen.source,
    )
    check_numbers(options)
    _check_files(chosen.out, chosen.chart)
    prepare_process(options.threads)

    from jaxmnist.bench.chart import draw_chart
    from jaxmnist.bench.compare import compare
    from jaxmnist.bench.report import table

    report = compare(options)
    text = json.dumps(report, indent=2)
    print(text if chosen.json else table(report), flush=True)  # first: it took minutes
    if chosen.out:
        _write(chosen.out, lambda file: file.write(f"{text}\n".encode()))
    if chosen.chart:
        _write(chosen.chart, lambda file: draw_chart(file, report))


def _speedrun(chosen: argparse.Namespace) -> None:
    from jaxmnist.caches import keep_compiled_programs
    from jaxmnist.speedrun import race, words
    from jaxmnist.systems.recipes import find_recipe

    if chosen.runs < 1:
        raise UserError(f"--runs is {chosen.runs}: it must be at least 1.")
    _check_files(chosen.out)
    keep_compiled_programs()
    settings = find_recipe(f"configs/speedrun.py:to_{chosen.to.replace('.', '')}")
    settings["data"]["source"] = chosen.source

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    report = race(settings, chosen.runs, on_held_out=chosen.held_out, tell=tell)
    text = json.dumps(report, indent=2)
    print(text if chosen.json else words(report), flush=True)
    if chosen.out:
        _write(chosen.out, lambda file: file.write(f"{text}\n".encode()))


def _evaluate(chosen: argparse.Namespace) -> None:
    from jaxmnist.caches import keep_compiled_programs
    from jaxmnist.devices import split_cpu
    from jaxmnist.measure import measure_npz, measure_suites
    from jaxmnist.programs import BLOCK
    from jaxmnist.storage.weights import FILE_NAME, load_weights

    if chosen.data and chosen.suite is not None:
        raise UserError("--suite and --data exclude each other: a suite has digits of its own.")
    if chosen.predictions and not (chosen.data or chosen.suite is not None):
        raise UserError("--predictions needs --data or one --suite, to know which to save.")
    _check_files(chosen.predictions, inputs=[chosen.data, chosen.weights])
    keep_compiled_programs()
    split_cpu(1, BLOCK)
    loaded = load_weights(chosen.run / FILE_NAME if chosen.run else chosen.weights)
    answer: dict[str, Any] = {"weights": loaded.about["name"], "seed": loaded.about["seed"]}
    if chosen.data:
        scores, predicted = measure_npz(loaded, chosen.data)
        answer |= scores
    else:
        source = _source_of(chosen.run, loaded.about["digits"])
        answer["digits"] = source.title()
        if chosen.suite is not None:
            scores, predicted = measure_suites(loaded, source, [chosen.suite])[chosen.suite]
            answer |= {"suite": chosen.suite} | scores
        else:
            measured = measure_suites(loaded, source)
            answer["suites"] = {name: scores for name, (scores, _) in measured.items()}
    if chosen.predictions:
        one_head = loaded.network.architecture.heads == 1
        _save(chosen.predictions, predicted[:, 0] if one_head else predicted)
    print(json.dumps(answer, indent=2) if chosen.json else _words(answer))


def _source_of(run: Path | None, digits: str) -> "Source":
    """Finds the digits of a run again; a weights file alone says only which kind they were."""
    from jaxmnist.data.sources import load_source
    from jaxmnist.run.folder import read_json

    if "stand-in" in digits:
        return load_source("digits8x8")
    if run is None:
        return load_source("auto")
    path = run / "config.json"
    match read_json(path):
        case {"data": {"source": str(name), "dir": str(folder), "verify": bool(verify)}}:
            return load_source(name, folder, verify=verify)
    raise UserError(
        f"{path} does not say where the digits come from: give the weights as --weights."
    )


def _check_files(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuses what could not be written in the end, before minutes are spent on it."""
    read = {os.path.realpath(path) for path in inputs if path}
    written: set[str] = set()
    for path in filter(None, paths):
        real = os.path.realpath(path)
        if real in read:
            raise UserError(f"{path} is what is read: name another file to write.")
        if real in written:
            raise UserError(f"{path} cannot be two files at once: name another one.")
        written.add(real)
        if path.name in RUN_FILES and (path.parent / "config.json").exists():
            raise UserError(f"{path} is the run's own: name another file to write.")
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder: name a file to write.")
        if not os.path.isdir(path.absolute().parent):
            raise UserError(f"{path} cannot be written: its folder is not there, make it first.")


def _save(path: Path, predicted: Any) -> None:
    import numpy as np

    _write(path, lambda file: np.save(file, predicted))


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    from jaxmnist.durable import write_whole

    content = io.BytesIO()
    write(content)
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written ({error.strerror}): mend that, or name another.")


def _words(answer: dict[str, Any]) -> str:
    if "suites" in answer:
        head = f"{answer['weights']}, seed {answer['seed']}, on test digits of {answer['digits']}"
        lines = [_words({"suite": k} | v) for k, v in answer["suites"].items()]
        return "\n".join([head, *lines])
    name = f"{answer['suite']:<16} " if "suite" in answer else ""
    if "accuracy" in answer:
        return f"{name}n {answer['n']}  accuracy {answer['accuracy']:.2%}"
    lengths = "  ".join(f"{k}: {v:.2%}" for k, v in answer["by_length"].items())
    accuracy = answer["digit_accuracy"]
    digits = "-" if accuracy is None else f"{accuracy:.2%}"
    return (
        f"{name}n {answer['n']}  exact_sequence_accuracy {answer['exact_sequence_accuracy']:.2%}  "
        f"digit_accuracy {digits}  by_length {lengths}"
    )
