"""The command line of `jaxmnist VERB`: what can be typed, and the help."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from jaxmnist import __version__
from jaxmnist.config import field_list
from jaxmnist.errors import UserError
from jaxmnist.files import user_path
from jaxmnist.shipped import find_weights

EXPORT_FORMATS = ("onnx", "onnx-int8", "stablehlo", "torch", "torch-module", "safetensors")
ABOUT = "Reads handwritten digits with small JAX models, and trains them."
TRAIN = """\
examples:
  jaxmnist train seq                        the default: minutes on two cores
  jaxmnist train seq:tiny                   the whole path in seconds
  jaxmnist train models:model_3 --config.seed=7 --workdir runs/seven
  jaxmnist train mine.py                    a config file of your own

Started again with the same --workdir, an unfinished run goes on where it was and a finished one is
only reported. The last line on stdout is the path of summary.json. Ctrl-C or SIGTERM saves and
leaves, with exit code 130 or 143. --store=s3://bucket/runs/seq (or gs://) keeps a copy of the run
folder there, from which another machine can go on. `python launch.py --config=CONFIG` is the same
job.

fields, with their defaults:
"""
READ = """\
examples:
  jaxmnist read photo.png scan.jpg              a line each: the path and what it says
  jaxmnist read folder/ --json                  confidences and boxes, an object a line
  cat photo.jpg | jaxmnist read -               from another program
  jaxmnist read photo.png --explain steps       how it was read, as pictures in steps/
  jaxmnist read photo.png --weights runs/seq    with a network of your own

Pictures may have any size, colours, paper and light. Lines of writing are separated by /, a digit
that the network does not know is a question mark, and nothing is printed where there is nothing.
Digits have to be written by hand, and upright. The exit code is 2 if a picture could not be opened,
after all others were read.
"""
SERVE = """\
examples:
  jaxmnist serve                          the page at a local address
  jaxmnist serve --weights runs/seq       with a network of your own in it
  jaxmnist serve --export site            as files: site/index.html opens without a server

Digits are drawn on the page, or a picture is dropped, pasted or photographed. They are read in the
browser, as `jaxmnist read` reads them; nothing is sent anywhere. From a file the page has the first
network alone; a server, any one, lets it fetch the others.
"""
EVALUATE = """\
examples:
  jaxmnist evaluate --run runs/seq                        all suites on MNIST test digits
  jaxmnist evaluate --run runs/seq --suite rotation       one of them
  jaxmnist evaluate --run runs/seq --data mine.npz --json your own labelled images

  jaxmnist evaluate --weights theirs.pth                  a published model of PyTorch

An npz file holds x, uint8 (N,28,28) or (N,28,W), 0 = ground and 255 = ink, or floats from 0 to 1,
and y, (N,) or (N,K) padded with 10; without y the answers are printed. Keras's mnist.npz, Kaggle's
train.csv, npy, folders of idx files (their test digits) and of pictures called by their digits
(3/a.png) are read, too. Accuracies are printed in percent, and are fractions in JSON.
"""


EXPORT = """\
examples:
  jaxmnist export --run runs/seq --format onnx --out seq.onnx
  jaxmnist export --run runs/seq --format torch --out seq.pth
  jaxmnist export --run runs/seq --format torch-module --out seq.py
  jaxmnist export --weights FILE --format torch --names original --out for_their_code.pth

formats:
  onnx          float32, batch (and width, where the network reads any) left open
  onnx-int8     8-bit integers; ranges are taken from training digits, and what it costs on test
                digits is printed
  stablehlo     what jax.export.deserialize reads, for CPU, CUDA and TPU
  torch         a state_dict for torch.load(FILE, weights_only=True)
  torch-module  the module for it: a Python file that needs PyTorch alone
  safetensors   the same state_dict

onnx, stablehlo and torch-module take images (batch, 28, width), float32, 0 = ground and 1 = ink,
and give logits (batch, places, classes): docs/export.md. A state_dict is that of the same layers in
a plain PyTorch nn.Sequential, as model.txt lists them, or with --names original that of the
published module, which takes images (N, 1, 28, width) with values (x / 255 - 0.1307) / 0.3081.
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

REPORT = """\
examples:
  jaxmnist report runs                      all runs in runs/, on the page report.html
  jaxmnist report runs --follow             written again and again while they go on
  jaxmnist report runs/seq runs/seven --out two.html
  jaxmnist report runs --tensorboard        their TensorBoard events instead, at a local address

The page is one file that needs no network: a table to sort and filter, learning curves, suites,
parameters against error, calibration, what is read for what, the most confident mistakes, and the
fields in which configurations differ.
"""


SWEEP = """\
examples:
  jaxmnist sweep models:model_3 --over 'schedule.learning_rate=log(1e-3,0.1,8); seed=0..2'
  jaxmnist sweep seq:tiny --over 'batch_size=32,64; optimizer.name=adam,adamw' --config.epochs=2
  jaxmnist sweep seq --over 'schedule.learning_rate=log(1e-3,0.03); ema_decay=0.0,0.99' --guided 20
  jaxmnist sweep models:model_3 --over 'seed=0..31' --shard 2/4        the second of four machines

VALUES are a list a,b,c, n numbers evenly spaced as log(low,high,n) or linear(low,high,n), or all
whole numbers low..high; both ends always belong to them. Every combination is a point. Points that
differ in seed and learning rate alone train as one population, others one after another. Validation
chooses; figures on test digits are only shown. Seeds are repetitions: what is compared are
means over them. --guided takes ranges as a whole, and needs `pip install 'jaxmnist[sweep]'`.

Started again with the same --workdir, it goes on where it was. With the run folders of all shards
in one place, the command without --shard makes the whole table. The last line on stdout is the path
of results.json; beside it lie results.csv and winner.py, which `jaxmnist train` takes.
"""


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one sentence, as every other mistake is answered."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: type `{self.prog} --help` to see what it takes.")


def make_parser() -> Parser:
    """Returns the parser; the attribute `verb` of what it parses says which verb was typed."""
    parser = Parser(prog="jaxmnist", description=ABOUT)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True)

    def verb(
        add_arguments: Callable[[Parser], None], name: str, summary: str, epilog: str = ""
    ) -> None:
        parser = verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(parser)

    verb(
        _add_train,
        "train",
        "train a recipe, evaluate it and write a run folder",
        TRAIN + field_list(),
    )
    verb(_add_sweep, "sweep", "train combinations of fields, and find the best one", SWEEP)
    verb(_add_models, "models", "list every system: its size, its recipe, what was published")
    verb(_add_read, "read", "read the digits in pictures", READ)
    verb(_add_serve, "serve", "show a page to write digits on, in the browser", SERVE)
    verb(
        _add_evaluate,
        "evaluate",
        "measure a trained network on suites or on your own labelled images",
        EVALUATE,
    )
    verb(_add_export, "export", "write a trained network for other software", EXPORT)
    verb(_add_audit, "audit", "compare the results of runs with what was published")
    verb(_add_report, "report", "compare runs on an HTML page, or in TensorBoard", REPORT)
    verb(_add_bench, "bench", "measure how fast training is beside PyTorch", BENCH)
    verb(_add_speedrun, "speedrun", "measure how long training takes to an accuracy", SPEEDRUN)
    return parser


def _add_train(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG[:VARIANT]", help="a recipe's name, or its file")
    parser.add_argument("--workdir", metavar="DIR", help="default: runs/<config>[-<variant>]")
    parser.add_argument(
        "--store", metavar="URL", help="a copy of the run folder: s3://bucket/... or gs://..."
    )
    parser.add_argument(
        "--distributed", action="store_true", help="one of several processes of a cluster"
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="of process 0, with --num_processes N and --process_id I, where there is no cluster; "
        "--start_timeout S waits so many seconds for the others",
    )
    parser.add_argument("--config.FIELD", metavar="VALUE", help="any of the fields below")


def _add_sweep(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG[:VARIANT]", help="a recipe's name, or its file")
    parser.add_argument("--over", required=True, metavar="'FIELD=VALUES; ...'", help="what to try")
    parser.add_argument(
        "--workdir", type=user_path, metavar="DIR", help="default: runs/sweep-<config>[-<variant>]"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        metavar="N",
        help="points of one population, at most; default 32, or 8 of a guided search",
    )
    parser.add_argument("--shard", metavar="I/N", help="train the I-th of N parts")
    parser.add_argument("--guided", type=int, metavar="N", help="let Optuna choose N settings")
    parser.add_argument("--config.FIELD", metavar="VALUE", help="any field, for all points")


def _add_models(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_read(parser: Parser) -> None:
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="IMAGE|FOLDER|-",
        help="files, folders of files, or - (stdin)",
    )
    parser.add_argument(
        "--weights",
        type=find_weights,
        default="reader",
        metavar="NAME|FILE",
        help="shipped weights, a run folder or a weights file; default reader",
    )
    parser.add_argument("--json", action="store_true", help="print an object a line")
    parser.add_argument(
        "--explain", type=user_path, metavar="DIR", help="write the steps there, as pictures"
    )


def _add_serve(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        type=find_weights,
        default="reader",
        metavar="NAME|FILE",
        help="the network that comes first: shipped, a run folder or a weights file; default "
        "reader",
    )
    parser.add_argument(
        "--port", type=int, default=8028, help="default 8028; 0 is any that is free"
    )
    parser.add_argument(
        "--export", type=user_path, metavar="DIR", help="write the page there, and leave"
    )


def _add_evaluate(parser: Parser) -> None:
    _add_network(parser)
    parser.add_argument("--suite", metavar="NAME", help="one suite instead of all")
    parser.add_argument(
        "--data", type=user_path, metavar="FILE.npz", help="your own images; .csv or a folder, too"
    )
    parser.add_argument(
        "--predictions",
        type=user_path,
        metavar="FILE.npy",
        help="save predicted labels, (N,) or (N,K)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_export(parser: Parser) -> None:
    _add_network(parser)
    parser.add_argument("--format", required=True, choices=EXPORT_FORMATS)
    parser.add_argument(
        "--names",
        choices=["sequential", "original"],
        default="sequential",
        help="of the layers in a state_dict: those of nn.Sequential (0.weight), or of the "
        "published code (conv1.weight); default sequential",
    )
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="FILE", help="what to write"
    )


def _add_audit(parser: Parser) -> None:
    parser.add_argument(
        "results",
        type=user_path,
        help="folder of summary.json files (any names) or of finished runs, or a finished run",
    )
    parser.add_argument(
        "--out", type=user_path, metavar="FILE.md", help="write there, not to the screen"
    )
    parser.add_argument("--table", action="store_true", help="only the short table of the README")


def _add_report(parser: Parser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=user_path, metavar="RUNS", help="run folders, or folders of them"
    )
    parser.add_argument(
        "--out", type=user_path, metavar="FILE.html", help="the page; default report.html"
    )
    parser.add_argument(
        "--follow", action="store_true", help="write it again while runs go on, until Ctrl-C"
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="start TensorBoard on the runs instead"
    )


def _add_bench(parser: Parser) -> None:
    parser.add_argument(
        "--systems", default="v_1", metavar="LIST", help="names, classifiers or all; default v_1"
    )
    parser.add_argument("--batch", default="64", metavar="LIST", help="batch sizes; default 64")
    parser.add_argument(
        "--against",
        metavar="LIST",
        help="of eager, channels_last, compile, published, cuda_graphs; default eager, "
        "channels_last, and on a GPU cuda_graphs",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; default 5")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn, about; default 2")
    parser.add_argument("--augment", action="store_true", help="augment as the recipe says")
    parser.add_argument("--seeds", type=int, default=1, help="models trained; default 1")
    parser.add_argument("--threads", type=int, help="default: a thread for each core")
    _add_source(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE.json", help="write the JSON there, too"
    )
    parser.add_argument("--chart", type=user_path, metavar="FILE.png", help="draw bars")


def _add_speedrun(parser: Parser) -> None:
    goals = ["98", "99", "99.4"]
    parser.add_argument(
        "to", choices=goals, metavar="|".join(goals), help="percent of the test digits to be right"
    )
    parser.add_argument("--runs", type=int, default=10, help="whole trainings; default 10")
    _add_source(parser)
    parser.add_argument(
        "--held-out", action="store_true", help="read held-out digits instead: for tuning"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE.json", help="write the JSON there, too"
    )


def _add_network(parser: Parser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", type=user_path, metavar="DIR", help="a finished run's folder")
    network.add_argument(
        "--weights", type=find_weights, metavar="NAME|FILE", help="shipped, a file, or a state dict"
    )


def _add_source(parser: Parser) -> None:
    parser.add_argument(
        "--source",
        choices=["auto", "tfds", "dir", "digits8x8"],
        default="auto",
        help="of digits, as in config.data.source; default auto",
    )
