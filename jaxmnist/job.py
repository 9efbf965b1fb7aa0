"""The training job of `python launch.py` and `jaxmnist train`: its command line, and running it."""

import difflib
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict
from ml_collections.config_flags import tuple_parser

from jaxmnist import config, recipes
from jaxmnist.cluster import START_TIMEOUT, Cluster, joined
from jaxmnist.config import Config
from jaxmnist.errors import UserError
from jaxmnist.fields import Field, short_repr
from jaxmnist.files import user_path
from jaxmnist.old_configs import RENAMED, upgrade

OVERRIDE = "config."
PARSERS: dict[type, flags.ArgumentParser] = {
    bool: flags.BooleanParser(),
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    str: flags.ArgumentParser(),
    tuple: tuple_parser.TupleParser(),
}


@dataclass(frozen=True)
class Job:
    """A configuration, the run folder that it is trained in, and the processes that train it."""

    config: Config
    workdir: Path
    store: str = ""  # address of a copy of the run folder; none if empty
    cluster: Cluster | None = None  # None: this process alone


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the flags of a job; overrides of single fields are flags of their own."""
    recipe = "recipe: NAME or FILE.py, with :VARIANT if you like, such as seq:tiny"
    flags.DEFINE_string("config", "", recipe, flag_values)
    flags.DEFINE_string(
        "workdir", "", "run folder; default: runs/<config>[-<variant>]", flag_values
    )
    flags.DEFINE_string(
        "store", "", "copy of the run folder in an object store, s3://... or gs://...", flag_values
    )
    # Where a job runs is none of the recipe's fields: it goes on with other processes as the same.
    flags.DEFINE_boolean(
        "distributed", False, "one of several processes, as JAX detects the cluster", flag_values
    )
    flags.DEFINE_string("coordinator", "", "HOST:PORT of process 0, without a cluster", flag_values)
    for name, default, help_text in (
        ("num_processes", None, "of the job"),
        ("process_id", None, "of this one, from 0"),
        ("start_timeout", START_TIMEOUT, "seconds to wait for the other processes"),
    ):
        flags.DEFINE_integer(name, default, help_text, flag_values=flag_values)


def parse(arguments: Sequence[str], flag_values: flags.FlagValues) -> Job:
    """Reads a command line, program name first: a recipe, flags, `--config.FIELD=VALUE`.

    Raises:
      UserError: if a flag, the recipe or a field cannot be used, and what to do.
    """
    try:
        expanded = flag_values.read_flags_from_files(list(arguments), force_gnu=False)
        others, overrides = split(expanded)
        _, *positional = flag_values(others)
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error.flagname, flag_values) from None
    except (flags.Error, UnicodeDecodeError) as error:  # a flag file that is none
        raise UserError(f"{str(error).removeprefix('ERROR:: ').rstrip('.')}: see --help.") from None
    name = str(flag_values["config"].value)
    if not name and positional:  # `jaxmnist train seq:tiny`
        name = positional.pop(0)
    if not name:
        raise UserError("no recipe is named: give one, such as seq or configs/seq.py.")
    if positional:
        raise UserError(f"'{positional[0]}' is not a flag: set a field as --config.FIELD=VALUE.")
    wanted, workdir = resolve(name, overrides), str(flag_values["workdir"].value)
    folder = user_path(workdir) if workdir else default_workdir(name)
    store = str(flag_values["store"].value)
    return Job(wanted, folder, store, read_cluster(flag_values))


def read_cluster(flag_values: flags.FlagValues) -> Cluster | None:
    """Returns how this process finds the others of its job; None if there are none.

    Raises:
      UserError: if the flags do not fit each other.
    """
    names = ("coordinator", "num_processes", "process_id", "start_timeout")
    values: list[Any] = [flag_values[name].value for name in names]
    coordinator, count, number, timeout = values
    given = bool(coordinator), count is not None, number is not None
    if not any(given):
        return Cluster(timeout) if flag_values["distributed"].value else None
    if not all(given):
        raise UserError(
            "--coordinator, --num_processes and --process_id belong together: give all three, or "
            "--distributed alone where a cluster has them."
        )
    return Cluster(timeout, coordinator, count, number)


def resolve(name: str, overrides: Mapping[str, str | None]) -> Config:
    """Returns the configuration of a recipe with some fields set, as texts that people type.

    Raises:
      UserError: if the recipe or a field cannot be used, and what to do.
    """
    wanted = config.from_dict(_override(_load(name), overrides).to_dict())
    if folder := wanted.data.dir:  # as a whole path: it is read from other folders later
        data = replace(wanted.data, dir=str(user_path(folder).absolute()))
        wanted = replace(wanted, data=data)
    return wanted


def run(job: Job) -> None:
    """Trains and evaluates; the last line on standard output is the path of summary.json.

    Raises:
      UserError: if configuration, data or folder cannot be used.
      Interrupted: after Ctrl-C or SIGTERM; what was learnt until then is saved.
    """
    from jaxmnist.run.signals import quiet_libraries, stop_on_signal
    from jaxmnist.runtime import configure_jax, import_tensorboardx

    logging.set_verbosity(logging.WARNING)
    quiet_libraries()
    # Signals first: imports and JAX take seconds, and may be interrupted.
    with stop_on_signal() as stop, joined(job.cluster):
        configure_jax()
        import_tensorboardx()
        from jaxmnist.run.store import Store
        from jaxmnist.training import train

        store = Store(job.store) if job.store else None
        train(job.config, job.workdir, stop=stop, store=store)
        print(job.workdir / "summary.json")


def default_workdir(name: str) -> Path:
    """Returns the default run folder: `configs/seq.py:tiny` runs in `runs/seq-tiny`."""
    file, _, variant = name.partition(":")
    return Path("runs") / "-".join(filter(None, (Path(file).stem, variant)))


def _load(name: str) -> ConfigDict:
    address = recipes.find(name)
    try:
        return recipes.load(name)
    except UserError:
        raise
    except Exception as error:  # a config file is code, and may raise anything
        file = address.partition(":")[0]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).absolute() == Path(file).absolute()]
        place = f" in line {lines[-1]}" if lines else ""
        reason = f"{type(error).__name__}: {error}".replace(". ", ", ").rstrip(".")
        raise UserError(
            f"the recipe {file} cannot be used ({reason}{place}): correct the file."
        ) from error


# ---- --config.FIELD=VALUE: parsed and checked by the schema ----


def split(arguments: list[str]) -> tuple[list[str], dict[str, str | None]]:
    """Splits the overrides of fields from a command line; of several of one field the last counts.

    As absl has flags: `--config.seed=3`, `-config.seed 3`, `--noconfig.data.verify`.
    """
    others: list[str] = []
    overrides: dict[str, str | None] = {}
    switches = {name for name, field in config.all_fields() if isinstance(field.default, bool)}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == "--":  # no flags after it
            return [*others, argument, *queue], overrides
        found = re.fullmatch(r"--?(no)?config\.([^=]*)(?:=(.*))?", argument, re.DOTALL)
        if not found:
            others.append(argument)
            continue
        negated, name, text = found.groups()
        if negated and text is not None:
            raise UserError(f"{argument} says two things: leave out 'no', or the value.")
        if text is None:
            if negated or renamed(name) in switches:
                text = str(not negated)
            elif queue and not queue[0].startswith("--"):
                text = queue.pop(0)
        overrides.pop(name, None)
        overrides[name] = text
    return others, overrides


def renamed(name: str) -> str:
    """Returns what a field is called now that may go by an old name."""
    return RENAMED[name][0] if name in RENAMED else name


def _override(recipe: ConfigDict, overrides: Mapping[str, str | None]) -> ConfigDict:
    """Sets fields of a recipe; what alters a published system no longer goes by its name."""
    tree = recipe.to_dict()
    if upgrade(tree) != tree:
        recipe = ConfigDict(upgrade(tree))
    known, present = dict(config.all_fields()), config.flatten(recipe.to_dict())
    values: dict[str, Any] = {}
    for name, text in overrides.items():
        field = renamed(name)
        if field not in known:
            raise _unknown_field(field, list(known))
        if field not in present:
            raise UserError(f"this recipe has no field {field}: leave --config.{name} out.")
        value = _parse(field, known[field], text)
        if name in RENAMED:
            value = RENAMED[name][1](value)
        if not known[field].metadata["rule"].holds(value):
            raise _impossible(field, known[field], value)
        values[field] = value
    recipe.update_from_flattened_dict(values)
    if values.keys() - config.REPRODUCTION_FIELDS and "system" in present:
        recipe.system = ""
    return recipe


def _parse(name: str, field: Field, text: str | None) -> Any:
    if text is None:
        raise UserError(f"--{OVERRIDE}{name} has no value: give --{OVERRIDE}{name}=VALUE.")
    try:
        return PARSERS[type(field.default)].parse(text)
    except ValueError:
        raise _impossible(name, field, text) from None


def _impossible(name: str, field: Field, value: Any) -> UserError:
    return UserError(
        f"config.{name} is {short_repr(value)}: it must be {field.metadata['rule'].wanted}."
    )


def _unknown_field(name: str, known: list[str]) -> UserError:
    if inside := [each for each in known if each.startswith(f"{name}.")]:
        return UserError(
            f"config.{name} is a group: set its fields one by one, such as "
            f"--{OVERRIDE}{inside[0]}=VALUE."
        )
    # Both `learning_rate` and `schedul.learning_rate` are meant for schedule.learning_rate.
    ends = {each.rpartition(".")[2]: each for each in reversed(known)}
    last = difflib.get_close_matches(name.rpartition(".")[2], ends, n=1)
    close = difflib.get_close_matches(name, known, n=1) or [ends[end] for end in last]
    return UserError(
        f"a configuration has no field {short_repr(name)}{_perhaps('', close)}: --help lists them."
    )


def _unknown_flag(name: str, flag_values: flags.FlagValues) -> UserError:
    if name in dict(config.all_fields()):
        return UserError(f"there is no flag --{name}: give --{OVERRIDE}{name}=VALUE.")
    close = difflib.get_close_matches(name, list(flag_values), n=1)
    return UserError(f"there is no flag --{name}{_perhaps('--', close)}: see --help.")


def _perhaps(prefix: str, close: list[str]) -> str:
    return f", perhaps {prefix}{close[0]}" if close else ""
