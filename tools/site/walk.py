"""Draws the pictures of docs/walk.md: `python -m tools.site.walk`, with JAXMNIST_DATA set.

Everything on them is made by the functions that the page shows, and read by the weights `seq`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxmnist import api, config, recipes
from jaxmnist.config import Config
from jaxmnist.constants import BLANK, MEAN, SD
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import load_source, load_splits
from jaxmnist.evaluation import ExampleList
from jaxmnist.generate.examples import with_end
from jaxmnist.rng import Stream, stream_keys
from jaxmnist.run.plots import STYLE, draw_predictions
from jaxmnist.strings.camera import take_picture
from jaxmnist.strings.page import add_page
from jaxmnist.strings.writing import write
from jaxmnist.tasks import ReadStrings

OUT = Path(__file__).parents[2] / "docs" / "walk"
SEED, COUNT = 12, 4  # examples in a row
GROUPS = {"writing": "the writer", "page": "the page", "camera": "the camera"}
COLOURS = 64  # of a picture: so many make a small file


def draw_digits(path: Path, dataset: Dataset) -> None:
    """Draws the first digits of the file, as they are."""
    images = (np.asarray(dataset.images[:15], np.float32) / 255 - MEAN) / SD
    labels = np.asarray(dataset.labels[:15], np.int32)[:, None]
    panels = {
        f"{i} to {i + 4}": (images[i : i + 5], labels[i : i + 5], labels[i : i + 5])
        for i in (0, 5, 10)
    }
    draw_predictions(path, "the first training digits", panels)


def draw_stages(path: Path, recipe: Config, dataset: Dataset) -> None:
    """Draws strings as the writer, the page and the camera leave them."""
    assert recipe.strings
    assert recipe.sequence
    strings, longest = recipe.strings, recipe.sequence.max_length
    numbers = jnp.arange(COUNT)

    @jax.jit
    def stages(dataset: Dataset) -> tuple[jax.Array, ...]:
        def one(sample_key: jax.Array, augment_key: jax.Array) -> tuple[jax.Array, ...]:
            write_key, page_key, camera_key = jax.random.split(augment_key, 3)
            ink, labels = write(
                (sample_key, write_key),
                dataset,
                strings.writing,
                longest=longest,
                width=strings.width,
            )
            page = add_page(page_key, ink, strings.page)
            return ink, page, take_picture(camera_key, page, strings.camera), with_end(labels)

        root = jax.random.key(SEED)
        keys = (stream_keys(root, stream, numbers) for stream in (Stream.DRAW, Stream.AUGMENT))
        made: tuple[jax.Array, ...] = jax.vmap(one)(*keys)
        return made

    *images, labels = map(np.asarray, stages(dataset))
    panels = {
        title: ((image - MEAN) / SD, labels, labels)
        for title, image in zip(GROUPS.values(), images, strict=True)
    }
    draw_predictions(path, "one string a column, from row to row", panels)


def draw_effects(folder: Path, recipe: Config, dataset: Dataset) -> None:
    """Draws each effect alone on the same strings, a picture for writer, page and camera."""
    assert recipe.strings
    assert recipe.sequence
    task = ReadStrings(recipe.sequence.max_length)
    examples = ExampleList(
        dataset, task.effects(recipe), COUNT, SEED, (Stream.DRAW, Stream.AUGMENT)
    )
    for group, title in GROUPS.items():
        fields = vars(getattr(recipe.strings, group))
        panels = {}
        for name in examples.suites:
            stems = {f.removesuffix("_probability") for f in fields}
            if name == "plain" or name in stems:
                ((images, labels),) = examples.batches(COUNT, name)
                panels[name] = np.asarray(images), np.asarray(labels), np.asarray(labels)
        draw_predictions(folder / f"{group}.png", f"what {title} does, each effect alone", panels)


def draw_columns(path: Path, dataset: Dataset) -> None:
    """Draws what each column of a network's map says, below the string that it reads."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    model = api.load("seq")
    examples = ExampleList(
        dataset,
        {"free": model.loaded.task.suites["free"]},
        COUNT,
        SEED,
        (Stream.DRAW, Stream.AUGMENT),
    )
    ((images, labels),) = examples.batches(COUNT, "free")
    images = images[(labels != BLANK).sum(1).argmax()][None]  # the longest
    network, weights = model.loaded.network, model.loaded.weights
    logits = network.apply(weights._asdict(), images, train=False)
    probabilities: Float[np.ndarray, "columns 11"] = np.asarray(jax.nn.softmax(logits[0]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.2), layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, height_ratios=(1, 1.7))
        above.imshow(images[0], cmap="gray", aspect="auto")
        below.imshow(probabilities.T, cmap="Blues", aspect="auto", vmin=0, vmax=1)
        below.set_yticks(range(BLANK + 1), [*map(str, range(BLANK)), "blank"])
        below.set_xlabel("column of the last map")
        above.set_yticks([])
        figure.savefig(path, dpi=80)


def shrink(path: Path) -> None:
    """Writes a picture again, with few colours."""
    image = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def main() -> None:
    """Draws all pictures."""
    OUT.mkdir(exist_ok=True)
    recipe = config.from_dict(recipes.load("reader").to_dict())
    train = load_splits(recipe.data).train
    dataset = Dataset(jnp.asarray(train.images), jnp.asarray(train.labels, jnp.int32))
    draw_digits(OUT / "digits.png", load_source(recipe.data.source).train)
    draw_stages(OUT / "stages.png", recipe, dataset)
    draw_effects(OUT, recipe, dataset)
    draw_columns(OUT / "columns.png", dataset)
    for path in sorted(OUT.glob("*.png")):
        shrink(path)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
