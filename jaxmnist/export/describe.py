"""What goes into an exported network and what comes out, for people who have only its file."""

from textwrap import fill

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.models.network import Architecture


def describe(architecture: Architecture) -> str:
    """Returns a few lines about images and logits."""
    heads, classes = architecture.heads, architecture.classes
    width = f"{SIDE * heads})" if heads else "width) of any width"
    text = (
        f"It takes images (batch, {SIDE}, {width}, float32, 0 = ground and 1 = ink, and gives "
        f"logits (batch, {heads or 'columns'}, {classes})."
    )
    if heads is None:
        text += (
            " To read a string: take the class with the largest logit of every column, of equal "
            f"neighbours the first, and leave out the class {BLANK}."
        )
    elif classes > BLANK:
        text += f" To read: the class with the largest logit of every place; {BLANK} is no digit."
    return fill(text, 96)
