"""Trains a recipe, evaluates it and writes a run folder.

  python launch.py --config=configs/seq.py                  the default: minutes on two cores
  python launch.py --config=configs/seq.py:tiny             the whole path in seconds
  python launch.py --config=configs/seq.py --config.seed=7  any of the fields below
  python launch.py --config=configs/seq.py --workdir=DIR    another run folder than runs/seq
  python launch.py --config=configs/seq.py --distributed    on all hosts of a Slurm or TPU job
  python launch.py --config=configs/seq.py --coordinator=HOST:PORT --num_processes=2 --process_id=0
                                                            and 1, on two hosts by themselves

The config is a path, or the name of a recipe that comes with the package, such as seq:tiny; what
follows the colon is one of its variants. `jaxmnist train seq:tiny` is the same job.
Started again with the same --workdir, an unfinished run goes on where it was and a finished one is
only reported. The last line on stdout is the path of summary.json. --store=s3://bucket/runs/seq (or
gs://) keeps a copy of the run folder there, from which another machine can go on.

Ctrl-C or SIGTERM: the run saves where it is, even in the middle of an epoch, and leaves. The exit
code is 0, 2 if something has to be fixed first, 130 after Ctrl-C, 143 after SIGTERM.
--helpfull lists the flags of all libraries, too.
"""

import sys

from absl import app, flags

from jaxmnist import config, job
from jaxmnist.entry import accept_any_output, exit_on_error

job.define_flags(flags.FLAGS)


def parse(arguments: list[str]) -> job.Job:
    """Reads the command line."""
    accept_any_output()
    with exit_on_error():
        if {"--help", "-h"} & set(arguments):
            print(f"{__doc__}\nFields, with their defaults:\n{config.field_list()}")
            sys.exit(0)
        return job.parse(arguments, flags.FLAGS)


def main(wanted: job.Job) -> None:
    """Trains and evaluates what the command line asks for."""
    with exit_on_error():
        job.run(wanted)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
