"""Damages sound files in thousands of ways and reads them with the project's own readers.

  python -m tools.mutate --files 10000 --out results/robustness/mutations.json
  python -m tools.mutate --files 10000 --formats picture

Every file must be read, or refused with a `UserError` in one sentence; any other exception, and any
warning, is a bug. Half of the damage is done inside an archive or behind a checksum, which is then
corrected: else the checksum would hide every other bug.
"""

import argparse
import contextlib
import gzip
import io
import json
import random
import shutil
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
import zlib
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
from jaxmnist.runtime import device, git_commit, versions
from jaxmnist.systems.audit import audit, read_results, table
from jaxmnist.weights import load_weights
from tools.samples import TRAIN_IMAGES, TRAIN_LABELS, load_config, write_samples

Chance = random.Random
Mutate = Callable[[bytes, Chance], bytes]
STATE: Any = {"weight": jnp.arange(3.0)}
RECORD = Record(step=0, error=None, data="", config="", history=[], seconds={})
ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
# Numbers at the ends of their types, which headers are fond of.
EDGES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
ODD: list[Any] = [
    *(None, True, -1, 0, 10**400, 0.5, float("nan"), float("inf"), "", "x", "\0", "9" * 50, [], {}),
    *([None], [[]], {"": None}, {"data": []}),
]


# ---- Damage to bytes. ----


def flip(content: bytes, chance: Chance) -> bytes:
    """Flips a few bits."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8]) if content else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(content: bytes, chance: Chance) -> bytes:
    """Cuts the end off."""
    return content[: chance.randint(0, len(content))]


def insert(content: bytes, chance: Chance) -> bytes:
    """Inserts random bytes."""
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.choice([1, 4, 100])) + content[at:]


def duplicate(content: bytes, chance: Chance) -> bytes:
    """Repeats a part."""
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:end] + content[start:]


def cut_out(content: bytes, chance: Chance) -> bytes:
    """Cuts a part out."""
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:start] + content[end:]


def edit_header(content: bytes, chance: Chance) -> bytes:
    """Overwrites a number near the beginning or the end, where headers and directories are."""
    size, order = chance.choice([1, 2, 4, 8]), chance.choice(["<", ">"])
    packed = struct.pack(order + "Q", chance.choice(EDGES))
    number = packed[:size] if order == "<" else packed[-size:]
    near = chance.randrange(min(len(content), 300) + 1)
    at = near if chance.random() < 0.5 else len(content) - near
    return content[:at] + number + content[at + size :]


MUTATIONS: tuple[Mutate, ...] = (flip, truncate, insert, duplicate, cut_out, edit_header)


def mutate(content: bytes, chance: Chance) -> bytes:
    """Damages bytes once, or a few times."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        content = chance.choice(MUTATIONS)(content, chance)
    return content


# ---- Damage inside an archive, or behind a checksum. ----


def in_gzip(content: bytes, chance: Chance) -> bytes:
    """Damages what a gzip file unpacks to."""
    return gzip.compress(mutate(gzip.decompress(content), chance), 1)


def in_zip(content: bytes, chance: Chance) -> bytes:
    """Damages a member of a zip archive, and compresses it in any way."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    important = [name for name in members if name.endswith((".npy", ".pkl"))]
    chosen = chance.choice(important if chance.random() < 0.7 else list(members))
    members[chosen] = mutate(members[chosen], chance)
    packed = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
    method = zipfile.ZIP_STORED if chance.random() < 0.5 else chance.choice(packing)
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, method)
    return packed.getvalue()


def in_safetensors(content: bytes, chance: Chance) -> bytes:
    """Damages the header of a safetensors file, and corrects its length."""
    end = 8 + int.from_bytes(content[:8], "little")
    how = in_json if chance.random() < 0.5 else mutate
    header = how(content[8:end], chance)
    return struct.pack("<Q", len(header)) + header + content[end:]


def in_png(content: bytes, chance: Chance) -> bytes:
    """Damages a chunk of a PNG file, its pixels also as they are unpacked, and corrects its sum."""
    if not content.startswith(PNG):
        return mutate(content, chance)
    chunks, at = [], len(PNG)
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    chosen = chance.randrange(len(chunks))
    kind, body = chunks[chosen]
    unpacked = kind == b"IDAT" and chance.random() < 0.5
    body = (
        zlib.compress(mutate(zlib.decompress(body), chance)) if unpacked else mutate(body, chance)
    )
    chunks[chosen] = kind, body
    packed = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return PNG + b"".join(packed)


def in_json(content: bytes, chance: Chance) -> bytes:
    """Replaces a value somewhere in the tree by something odd, or removes it."""
    tree = json.loads(content)
    for _ in range(chance.choice([1, 1, 2, 5])):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.8:
                node = node[key]
                continue
            if chance.random() < 0.3:
                del node[key]
            else:
                node[key] = chance.choice(ODD)
            break
    return json.dumps(tree).encode()


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
        report |= {"seed": chosen.seed, "device": device(), "versions": versions()}
        report["git_commit"] = git_commit()
        chosen.out.write_text(json.dumps(report, indent=2) + "\n")
    return int(totals["other"] > 0)


if __name__ == "__main__":
    sys.exit(main())
