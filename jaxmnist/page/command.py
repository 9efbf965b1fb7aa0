"""`jaxmnist serve`: the page at a local address, or in a folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.outputs import refuse_foreign
from jaxmnist.page.server import Server
from jaxmnist.reader.forward import StringNetwork, from_arrays
from jaxmnist.shipped import FOLDER, find_weights, shipped_names

OURS = "jaxmnist serve"  # stands in the page
DEFAULT = "reader"
OTHERS = ("seq",)  # that come beside the page, if they ship


def find_networks(weights: Path) -> dict[str, StringNetwork]:
    """Returns the networks to choose from by name; the first one is in the page.

    Raises:
      UserError: if weights cannot be read, or are of no network that reads any length.
    """
    path = weights / "weights.safetensors" if weights.is_dir() else weights
    own = weights.name if weights.is_dir() or path.parent != FOLDER else path.stem
    shown = own.encode(errors="replace").decode()  # what no text can hold becomes ?
    networks = {shown or "weights": _read(path)}
    for name in (DEFAULT, *OTHERS):
        if name in shipped_names() and name not in networks:
            networks[name] = _read(find_weights(name))
    return networks


def _read(path: Path) -> StringNetwork:
    return from_arrays(read_arrays(path)[0])


def export_site(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the site into a folder, which is made.

    Raises:
      UserError: if it cannot be written, or holds another page.
    """
    refuse_foreign(folder / "index.html", OURS)
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, content)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): make that possible, or name another "
            "folder."
        ) from None


def serve(files: Mapping[str, bytes], port: int) -> None:
    """Serves the site until a KeyboardInterrupt.

    Raises:
      UserError: if the port cannot be used.
    """
    with Server(files, port) as server:
        print(f"{server.url}  (Ctrl-C stops it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
