"""Trains a recipe, evaluates it and writes a run folder.

  python launch.py --config=configs/seq.py                  the default: minutes on two cores
  python launch.py --config=configs/seq.py:tiny             the whole path in seconds
  python launch.py --config=configs/seq.py --config.seed=7  any field of configs/common.py
  python launch.py --config=configs/seq.py --workdir=DIR    another run folder than runs/seq

The config's path is relative to where you stand; what follows the colon is one of its variants.
Started again with the same --workdir, an unfinished run goes on where it was and a finished one is
only reported. The last line on stdout is the path of summary.json.

Ctrl-C or SIGTERM: the run saves where it is, even in the middle of an epoch, and leaves. The exit
code is 0, 2 if something has to be mended first, 130 after Ctrl-C, 143 after SIGTERM.
--helpfull lists the flags of all libraries, too.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from jaxmnist.errors import Interrupted, UserError

CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe: FILE.py or FILE.py:VARIANT.")
WORKDIR = flags.DEFINE_string("workdir", "", "Run folder; default: runs/<config>[-<variant>].")


def default_workdir(config: str) -> Path:
    """Names the run folder of a recipe: `configs/seq.py:tiny` runs in `runs/seq-tiny`."""
    file, _, variant = config.partition(":")
    return Path("runs") / "-".join(filter(None, (Path(file).stem, variant)))


def parse(arguments: list[str]) -> list[str]:
    """Parses the command line; what is wrong with it is said in one sentence."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        sys.exit(0)
    try:
        rest = flags.FLAGS(arguments)
        if CONFIG.value is not None:
            CONFIG.value.to_dict()  # a config file that was not found says so only now
    except OSError:
        path = config_flags.get_config_filename(flags.FLAGS["config"])
        fail(f"the recipe {path} cannot be read: give its path from where you stand.")
    except Exception as error:  # a config file is code, and may fail in any way code can
        fail(what_is_wrong(error))
    if CONFIG.value is None:
        fail("no recipe is named: give one, such as --config=configs/seq.py.")
    if len(rest) > 1:
        fail(f"'{rest[1]}' is not a flag: fields are set as --config.FIELD=VALUE.")
    return rest


def what_is_wrong(error: Exception) -> str:
    """Says in one sentence what kept the command line or the config file from being read."""
    text = str(error).strip() or type(error).__name__
    name = text.strip("\"'")
    if isinstance(error, KeyError | AttributeError) and re.fullmatch(r"\w+", name):
        return f"the recipe has no field '{name}': configs/common.py lists all fields."
    # What went wrong is the last line; above it may stand the config file's traceback.
    said = text.splitlines()[-1].removeprefix("ValueError: ").removeprefix("ERROR:: ")
    said = re.sub(r"\. Did you mean: (.*) \?$", r", perhaps \1", said)
    said = said.replace(". ", ", ")
    if said.endswith("."):  # a sentence, and of our own
        return said
    if isinstance(error, flags.Error) and "\n" not in text:
        return f"{said}: see --help for flags, and configs/common.py for what fields take."
    return f"the recipe cannot be used as asked ({said}): mend its file, or what is set of it."


def resolve() -> dict[str, Any]:
    """Returns the settings; those that alter a published system no longer go by its name."""
    from jaxmnist.settings import HARMLESS

    settings = CONFIG.value.to_dict()
    if config_flags.get_override_values(flags.FLAGS["config"]).keys() - HARMLESS:
        settings["system"] = ""
    return settings


def fail(sentence: str) -> None:
    """Says what is wrong and leaves with exit code 2."""
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    sys.exit(2)


def main(arguments: list[str]) -> None:
    """Trains and evaluates what the flags say."""
    del arguments
    logging.set_verbosity(logging.WARNING)
    config_argument = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = Path(WORKDIR.value) if WORKDIR.value else default_workdir(config_argument)
    try:
        from jaxmnist.train import train_and_evaluate

        print(train_and_evaluate(resolve(), workdir))
    except UserError as error:
        fail(str(error))
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted before anything was trained.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
