"""The verbs of `jaxmnist VERB`. Heavy imports wait until a verb needs them."""

import argparse
import io
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmnist.entry import accept_any_output, exit_on_error
from jaxmnist.errors import UserError
from jaxmnist.parser import make_parser

if TYPE_CHECKING:
    from jaxmnist.api import Model


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code, which `exit_on_error` explains."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    accept_any_output()
    try:
        with exit_on_error():
            if given[:1] == ["train"] and not {"-h", "--help"} & set(given):
                _train(given[1:])  # absl reads these flags, as it does those of launch.py
            else:
                overrides = None
                if given[:1] == ["sweep"]:
                    from jaxmnist.job import split

                    given, overrides = split(given)
                chosen = make_parser().parse_args(given, argparse.Namespace(overrides=overrides))
                VERBS[chosen.verb](chosen)
    except SystemExit as leave:
        return int(leave.code or 0)
    return 0


def _train(arguments: list[str]) -> None:
    from absl import flags

    from jaxmnist import job

    flag_values = flags.FlagValues()
    job.define_flags(flag_values)
    job.run(job.parse(["jaxmnist train", *arguments], flag_values))


def _sweep(chosen: argparse.Namespace) -> None:
    from absl import logging as absl_logging

    from jaxmnist.run.signals import quiet_libraries, stop_on_signal
    from jaxmnist.sweep.options import read_options

    options = read_options(chosen)
    absl_logging.set_verbosity(absl_logging.WARNING)
    quiet_libraries()
    with stop_on_signal() as stop:
        from jaxmnist.runtime import configure_jax, import_tensorboardx

        configure_jax()
        import_tensorboardx()
        from jaxmnist.sweep.run import run_sweep

        results = run_sweep(options.sweep, options.workdir, shard=options.shard, stop=stop)
    print(results)


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
    from jaxmnist.export.files import export
    from jaxmnist.outputs import cannot_write, check_outputs
    from jaxmnist.runtime import configure_jax

    check_outputs(chosen.out, inputs=[chosen.weights])
    configure_jax()
    model = _load(chosen)
    try:
        notes = export(
            model.loaded,
            chosen.format,
            chosen.out,
            names=chosen.names,
            digits=lambda: model.digits,
        )
    except OSError as error:
        raise cannot_write(chosen.out, error) from None
    for note in notes:
        print(note, file=sys.stderr)
    print(chosen.out)


def _read(chosen: argparse.Namespace) -> None:
    from jaxmnist.formats.safetensors_files import read_arrays
    from jaxmnist.reader.command import read_command
    from jaxmnist.reader.forward import from_arrays

    # What Pillow thinks of a damaged file is told in a sentence of ours, if it matters.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    folder = os.path.isdir(chosen.weights)
    arrays, _ = read_arrays(chosen.weights / "weights.safetensors" if folder else chosen.weights)
    all_done = read_command(
        from_arrays(arrays),
        chosen.pictures,
        as_json=chosen.json,
        explain_in=chosen.explain,
        stdin=sys.stdin.buffer if sys.stdin else io.BytesIO(),  # it may be closed
    )
    if not all_done:
        sys.exit(2)


def _serve(chosen: argparse.Namespace) -> None:
    from jaxmnist.page.build import build_site
    from jaxmnist.page.command import export_site, find_networks, serve

    files = build_site(find_networks(chosen.weights))
    if chosen.export is None:
        # Ctrl-C is ignored in the background of a shell's script: SIGTERM stops it there.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve(files, chosen.port)
    else:
        export_site(files, chosen.export)
        print(chosen.export / "index.html")


def _evaluate(chosen: argparse.Namespace) -> None:
    if chosen.data and chosen.suite is not None:
        raise UserError("--suite and --data exclude each other: a suite has digits of its own.")
    if chosen.predictions and not (chosen.data or chosen.suite is not None):
        raise UserError("--predictions needs --data or one --suite, to know which to save.")

    from jaxmnist.answers import answer_file, answer_suites, format_answer, save_predictions
    from jaxmnist.outputs import check_outputs
    from jaxmnist.runtime import configure_jax

    folder = chosen.data and os.path.isdir(chosen.data)
    read = chosen.data.rglob("*") if folder else [chosen.data]
    check_outputs(chosen.predictions, inputs=[*read, chosen.weights])
    configure_jax()
    model = _load(chosen)
    answer, predictions = (
        answer_file(model, chosen.data) if chosen.data else answer_suites(model, chosen.suite)
    )
    if chosen.predictions and predictions:
        save_predictions(chosen.predictions, model.loaded.task.answers(predictions))
    print(json.dumps(answer, indent=2) if chosen.json else format_answer(answer))


def _load(chosen: argparse.Namespace) -> "Model":
    from jaxmnist.api import load_file, load_run

    model = load_run(chosen.run) if chosen.run else load_file(chosen.weights)
    for note in model.loaded.notes:
        print(note, file=sys.stderr)
    return model


def _report(chosen: argparse.Namespace) -> None:
    from jaxmnist.outputs import check_outputs
    from jaxmnist.report.command import report, tensorboard

    if chosen.tensorboard:
        if chosen.out or chosen.follow:
            raise UserError("--tensorboard shows runs itself: leave --out and --follow out.")
        tensorboard(chosen.runs)
        return
    out = chosen.out or Path("report.html")
    check_outputs(out)
    report(chosen.runs, out, follow=chosen.follow, log=lambda line: print(line, file=sys.stderr))
    print(out)


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


# `train` is not here: its flags are absl's.
VERBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "models": _models,
    "sweep": _sweep,
    "read": _read,
    "serve": _serve,
    "evaluate": _evaluate,
    "export": _export,
    "audit": _audit,
    "report": _report,
    "bench": _bench,
    "speedrun": _speedrun,
}
