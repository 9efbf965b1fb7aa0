"""Writing a file so that it is there whole, or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> Path:
    """Replaces a file in one go; what was there stays until the new one is safe on the disk.

    Raises:
      OSError: if it cannot be written; nothing is left behind then.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a pipe or a device, which nothing can replace
        return path
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return path
