"""The page put together: one HTML file with style, code and weights in it, and models beside it."""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxmnist.page.weights import COARSE, FINE, pack, quantise
from jaxmnist.reader.forward import StringNetwork

STATIC = Path(__file__).parent / "static"
# In the order in which they need each other.
READER = (
    "numbers", "morphology", "pieces", "resample", "picture", "ink", "rules", "strokes", "lines",
    "canvas", "network", "decode", "read", "weights", "worker",
)  # fmt: skip
APP = ("pad", "reader", "results", "main")
IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^\s*//.*\n", re.MULTILINE)
INDENT = re.compile(r"^\s+", re.MULTILINE)


def build_site(networks: Mapping[str, StringNetwork]) -> dict[str, bytes]:
    """Returns files by their paths: the page with the first network in it, all others beside it."""
    first, *others = networks
    beside = {f"models/{name}.bin": pack(name, quantise(networks[name], FINE)) for name in others}
    models = [{"name": first, "about": _about(networks[first]), "file": ""}]
    models += [
        {"name": name, "about": _about(networks[name]), "file": f"models/{name}.bin"}
        for name in others
    ]
    page = build_page(pack(first, quantise(networks[first], COARSE)), models)
    return {"index.html": page.encode(), **beside}


def build_page(packed: bytes, models: Sequence[Mapping[str, str]]) -> str:
    """Returns the page with the weights of the first of some models."""
    parts = {
        "style": INDENT.sub("", _text("style.css")),
        "models": json.dumps(models).replace("<", "\\u003c"),
        "reader": _squeezed(_joined("reader", READER)),
        "app": _joined("app", APP),
        "weights": base64.b85encode(packed).decode(),
    }
    page = _text("index.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _about(network: StringNetwork) -> str:
    numbers = sum(conv.kernel.size + conv.bias.size for conv in network.convs)
    return f"{round(numbers, -3):,} parameters"


def _joined(folder: str, names: Sequence[str]) -> str:
    """Returns modules as one script: their names do not meet, and a test looks after that."""
    code = _text("packed.js") + "".join(_text(f"{folder}/{name}.js") for name in names)
    code = INDENT.sub("", COMMENT.sub("", IMPORT.sub("", code)))
    return '"use strict";\n' + re.sub(r"^export ", "", code, flags=re.MULTILINE).strip()


def _squeezed(code: str) -> str:
    return base64.b85encode(gzip.compress(code.encode(), 9, mtime=0)).decode()


def _text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
