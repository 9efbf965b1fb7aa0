"""Damages sound files in thousands of ways and reads them with the project's own readers.

  python -m tools.mutate --files 10000 --out results/robustness/mutations.json
  python -m tools.mutate --files 10000 --formats picture

Every file must be read, or refused with a `UserError` in one sentence; any other exception, and any
warning, is a bug. Half of the damage is done inside an archive or behind a checksum, which is then
corrected: else the checksum would hide every other bug.
"""

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from PIL import Image, ImageDraw

from jaxmnist import checkpoint
from jaxmnist.checkpoint import Record
from jaxmnist.config import to_dict
from jaxmnist.data.idx import read_images, read_labels
from jaxmnist.data.labelled import read_labelled
from jaxmnist.errors import UserError
from jaxmnist.formats.pth import read_pth
from jaxmnist.formats.state_dict import from_state_dict
from jaxmnist.models.zoo import create_network
from jaxmnist.reader.picture import ORIENTATION, open_picture
from jaxmnist.reader.read import look_at
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.progress import StatusLine, format_duration
from jaxmnist.run.summary import describe
from jaxmnist.runtime import provenance
from jaxmnist.systems.audit import audit, read_results, table
from jaxmnist.weights import load_weights
from tools.damage import Chance, Mutate, in_gzip, in_json, in_png, in_safetensors, in_zip, mutate
from tools.samples import TRAIN_IMAGES, TRAIN_LABELS, load_config, write_samples

STATE: Any = {"weight": jnp.arange(3.0)}
RECORD = Record(step=0, error=None, data="", config="", history=[], seconds={})
ROOT = Path(__file__).parent.parent


class Format(NamedTuple):
    """One kind of file, and its reader."""

    sound: tuple[bytes, ...]  # whole files to start from
    inside: Mutate
    name: str  # of the file in the folder `place`
    read: Callable[[Path], object]  # of that folder


def read_checkpoint(place: Path) -> None:
    """Restores a checkpoint of which one file was damaged; what is restored must be as it was."""
    saved = checkpoint.restore_latest(place / "checkpoints", STATE, lambda line: None)
    assert saved
    state: Any = saved[0]
    assert saved[1] == RECORD
    assert state["weight"].tolist() == [0, 1, 2]


def read_summary(folder: RunFolder, place: Path) -> None:
    """Reports a run that has ended, as `launch.py` does."""
    if (summary := folder.summary()) is not None:
        describe(summary)


def read_audit(place: Path) -> None:
    """Audits a summary."""
    summaries = read_results(place / "results")
    audit(summaries)
    table(summaries)


def pictures() -> tuple[bytes, ...]:
    """Draws a 7 and stores it in every format that is read, in colours, grey and with a palette."""
    image = Image.new("RGB", (120, 60), (240, 235, 220))
    ImageDraw.Draw(image).line([(40, 12), (70, 12), (52, 50)], (20, 30, 90), 5)
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        *(("PNG", mode, {}) for mode in ("RGB", "RGBA", "LA", "P", "1", "I;16")),
        ("PNG", "L", {"exif": turned}),
        *(("JPEG", mode, {"exif": turned}) for mode in ("RGB", "L", "CMYK")),
        ("JPEG", "RGB", {"progressive": True}),
        *(("TIFF", mode, {}) for mode in ("RGB", "L", "F")),
        *(("TIFF", "L", {"compression": how}) for how in ("tiff_lzw", "tiff_deflate", "jpeg")),
        *((kind, "RGB", {}) for kind in ("BMP", "PPM", "WEBP", "GIF")),
        ("MPO", "RGB", {"save_all": True, "append_images": [image]}),
    ]
    files = []
    for kind, mode, options in kinds:
        file = io.BytesIO()
        plain = image.convert("L") if mode == "I;16" else image
        plain.convert(mode).save(file, kind, **options)
        files.append(file.getvalue())
    return tuple(files)


def formats(place: Path) -> dict[str, Format]:
    """Writes sound files into `place` and returns what can be done to them."""
    samples = write_samples(place / "samples")
    config = load_config("models:tiny")
    run = place / "run"
    shutil.copytree(samples / "run", run)
    folder = RunFolder(run, config)
    (place / "results").mkdir()
    checkpoint.save(place / "checkpoints", STATE, RECORD)
    architecture = create_network("model_3").architecture
    whole = {path: path.read_bytes() for path in samples.rglob("*") if path.is_file()}
    plain, packed = samples / "plain", samples / "digits"
    own = to_dict(config)  # so that the summaries are of this run's configuration
    summaries = tuple(
        json.dumps(json.loads((ROOT / "results" / file).read_text()) | {"config": own}).encode()
        for file in ("v_1.json", "ds_cnn_as_run.json")
    )

    def sound(*paths: Path) -> tuple[bytes, ...]:
        return tuple(whole[path] for path in paths)

    def state_dict(place: Path) -> None:
        from_state_dict(architecture, read_pth(place / "x.pth"))

    def of_checkpoint(name: str) -> Format:
        file = f"checkpoints/1/{name}"
        return Format(((place / file).read_bytes(),), in_json, file, read_checkpoint)

    return {
        "idx images": Format(
            sound(plain / TRAIN_IMAGES), mutate, "x.idx", lambda p: read_images(p / "x.idx")
        ),
        "idx labels": Format(
            sound(plain / TRAIN_LABELS), mutate, "x.idx", lambda p: read_labels(p / "x.idx")
        ),
        "idx.gz": Format(
            sound(packed / f"{TRAIN_IMAGES}.gz"),
            in_gzip,
            "x.gz",
            lambda p: read_images(p / "x.gz"),
        ),
        "npz": Format(
            sound(samples / "mine.npz"), in_zip, "x.npz", lambda p: read_labelled(p / "x.npz", 3)
        ),
        "safetensors": Format(
            sound(samples / "run" / "weights.safetensors"),
            in_safetensors,
            "x.safetensors",
            lambda p: load_weights(p / "x.safetensors"),
        ),
        "pth": Format(sound(samples / "model_3.pth"), in_zip, "x.pth", state_dict),
        "picture": Format(
            pictures(), in_png, "x.png", lambda p: look_at(open_picture(p / "x.png"))
        ),
        "config.json": Format(
            sound(samples / "run" / "config.json"),
            in_json,
            "run/config.json",
            lambda p: RunFolder(p / "run", config),
        ),
        "summary.json": Format(
            summaries, in_json, "run/summary.json", partial(read_summary, folder)
        ),
        "results/*.json": Format(summaries, in_json, "results/x.json", read_audit),
        "checkpoint record": of_checkpoint("record.json"),
        "checkpoint checksums": of_checkpoint("checksums.json"),
    }


@dataclass
class Outcome:
    """Counts of the outcomes for one format."""

    files: int = 0
    accepted: int = 0
    refused: int = 0
    other: int = 0
    peak_bytes: int = 0  # the most that reading one file has taken
    slowest_seconds: float = 0.0
    exceptions: list[str] = field(default_factory=list)

    def try_one(self, one: Format, place: Path, content: bytes) -> None:
        """Reads one file and counts the outcome."""
        path = place / one.name
        path.write_bytes(content)
        self.files += 1
        tracemalloc.reset_peak()
        held, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                one.read(place)
            self.accepted += 1
        except UserError as error:
            if not str(error).endswith("."):
                self.note_bug(f"no sentence: {error}")
            else:
                self.refused += 1
        except Exception as error:
            self.note_bug(repr(error))
        taken = tracemalloc.get_traced_memory()[1] - held
        self.peak_bytes = max(self.peak_bytes, taken)
        self.slowest_seconds = max(self.slowest_seconds, time.perf_counter() - began)

    def note_bug(self, what: str) -> None:
        """Records what must not happen."""
        self.other += 1
        self.exceptions.append(what[:500])


def damage(one: Format, chance: Chance) -> bytes:
    """Makes one damaged file."""
    content = chance.choice(one.sound)
    return (one.inside if chance.random() < 0.5 else mutate)(content, chance)


def splice(kinds: Mapping[str, Format], one: Format, chance: Chance) -> bytes:
    """Begins as one format, and goes on as another."""
    first, second = (chance.choice(kind.sound) for kind in (one, chance.choice([*kinds.values()])))
    return first[: chance.randint(0, len(first))] + second[chance.randint(0, len(second)) :]


def search(files: int, seed: int, names: Collection[str] = ()) -> dict[str, Outcome]:
    """Reads `files` damaged files, as many of each of the named formats, or of all."""
    outcomes: dict[str, Outcome] = {}
    line, began, done = StatusLine(30.0), time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(action="error"):
        # Pillow warns of damage that it reads on beyond; `jaxmnist read` does not show it.
        warnings.filterwarnings("ignore", module="PIL")
        kinds = formats(Path(name))
        chosen = {kind: one for kind, one in kinds.items() if not names or kind in names}
        tracemalloc.start()
        for number, (kind, one) in enumerate(chosen.items()):
            outcomes[kind] = outcome = Outcome()
            outcome.try_one(one, Path(name), one.sound[0])  # sound; it also compiles and imports
            if outcome.accepted != 1:
                raise RuntimeError(f"a sound {kind} is refused: {outcome.exceptions}")
            outcomes[kind] = outcome = Outcome()
            share = files // len(chosen) + (number < files % len(chosen))
            for file in range(share):
                chance = Chance(f"{seed} {kind} {file}")
                spliced = chance.random() < 0.1
                content = splice(kinds, one, chance) if spliced else damage(one, chance)
                outcome.try_one(one, Path(name), content)
                done += 1
                left = (time.perf_counter() - began) / done * (files - done)
                line.show(f"{done}/{files} files, {kind}, about {format_duration(left)} left")
            # The folder is left sound, for the formats that share it.
            (Path(name) / one.name).write_bytes(one.sound[0])
            line.clear()
            print(format_outcome(kind, outcome), flush=True)
        tracemalloc.stop()
    return outcomes


def format_outcome(kind: str, of: Outcome) -> str:
    """Returns one line of the table."""
    return (
        f"{kind:<21}{of.files:>7} files {of.accepted:>6} accepted {of.refused:>6} refused "
        f"{of.other:>4} other  {of.peak_bytes / 1e6:>7.1f} MB at most, "
        f"{of.slowest_seconds:.2f} s at most"
    )


def main() -> int:
    """Searches and prints the table; the exit code is 1 if there was a bug."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=0, help="of all damage")
    parser.add_argument("--formats", nargs="+", default=(), help="of them alone, such as picture")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    chosen = parser.parse_args()
    outcomes = search(chosen.files, chosen.seed, chosen.formats)
    totals = {
        name: sum(getattr(one, name) for one in outcomes.values())
        for name in ("files", "accepted", "refused", "other")
    }
    print(", ".join(f"{count} {name}" for name, count in totals.items()))
    for kind, outcome in outcomes.items():
        for what in outcome.exceptions:
            print(f"OTHER {kind}: {what}", file=sys.stderr)
    if chosen.out:
        report = totals | {"formats": {kind: vars(one) for kind, one in outcomes.items()}}
        report |= {"seed": chosen.seed} | provenance()
        chosen.out.write_text(json.dumps(report, indent=2) + "\n")
    return int(totals["other"] > 0)


if __name__ == "__main__":
    sys.exit(main())
