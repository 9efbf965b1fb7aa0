"""The library that draws the charts: Vega-Lite, out of the package vl-convert-python."""

import contextlib
from importlib.metadata import version
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.runtime import cache_folder


def vega_lite() -> str:
    """Returns the JavaScript of Vega-Lite, which defines `vegaEmbed`.

    To bundle it takes seconds, so that the text is kept in this project's cache folder.

    Raises:
      UserError: if vl-convert-python is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise UserError(
            "the charts of a report need vl-convert-python: pip install 'jaxmnist[report]'."
        ) from None
    cached = cache_folder() / f"vega-lite-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError):
        return cached.read_text(encoding="utf-8")
    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    _keep(cached, text)
    return text


def _keep(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # without a cache it is slower, no more
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)
