"""Weights for the page: whole numbers of eight bits, squeezed, as `weights.js` unpacks them."""

import json
import zlib

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load, save

from jaxmnist.reader.forward import Conv, StringNetwork

LARGEST = 127  # of a weight
# Between two weights, in standard deviations of a channel. A normal distribution takes
# log2(sqrt(2 pi e) / STEP) bits a weight then, and no other one takes more.
COARSE, FINE = 0.2, 0.05
TYPES = {"kernel": np.int8, "factor": np.float32, "bias": np.float32}  # in the file


def quantise(network: StringNetwork, step: float) -> StringNetwork:
    """Returns a network whose kernels are whole numbers; their scales are in its factors."""
    return StringNetwork(tuple(_quantised(conv, step) for conv in network.convs))


def _quantised(conv: Conv, step: float) -> Conv:
    kernel = conv.kernel.astype(np.float64)
    scale = np.maximum(step * kernel.std((0, 1, 2)), np.abs(kernel).max((0, 1, 2)) / LARGEST)
    scale = np.where(scale > 0, scale, 1)
    whole: Float[np.ndarray, "rows columns features out"] = np.rint(kernel / scale)
    return Conv(whole.astype(np.float32), (conv.factor * scale).astype(np.float32), conv.bias)


def pack(name: str, network: StringNetwork) -> bytes:
    """Returns the file of a network that is quantised."""
    arrays = {
        f"conv{number}.{part}": getattr(conv, part).astype(TYPES[part])
        for number, conv in enumerate(network.convs, 1)
        for part in TYPES
    }
    # Weights repeat nothing: that some are rarer than others is all that can be used.
    gzip = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    return gzip.compress(save(arrays, {"name": name})) + gzip.flush()


def unpack(packed: bytes) -> tuple[str, StringNetwork]:
    """Returns name and network of a file that `pack` has made."""
    content = zlib.decompress(packed, 31)
    size = int.from_bytes(content[:8], "little")
    name = json.loads(content[8 : 8 + size])["__metadata__"]["name"]
    arrays = load(content)
    numbers = range(1, len(arrays) // 3 + 1)
    convs = [
        Conv(*(arrays[f"conv{n}.{part}"].astype(np.float32) for part in TYPES)) for n in numbers
    ]
    return name, StringNetwork(tuple(convs))
