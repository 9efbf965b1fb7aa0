"""Reads what may be a bomb: it counts the bytes that come out, whatever a header promises."""

import io
from pathlib import Path
from typing import IO

from jaxmnist.errors import UserError

LIMIT = 1 << 30  # bytes a file may unpack to; MNIST's largest has 47 million
PIECE = 1 << 20


def unpack(stream: IO[bytes] | io.BufferedIOBase, path: Path) -> bytearray:
    """Reads a stream to its end, and holds no more than `LIMIT` bytes and a piece of it.

    Raises:
      UserError: if there are more.
      Exception: whatever the stream raises, if it is damaged.
    """
    content = bytearray()
    while piece := stream.read(PIECE):
        content += piece
        if len(content) > LIMIT:
            raise UserError(f"{path} unpacks to over {LIMIT:,} bytes: give a smaller file.")
    return content
