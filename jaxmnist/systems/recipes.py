"""Recipes by their address, as `launch.py --config` takes it."""

from importlib import import_module
from typing import Any

from jaxmnist.errors import UserError


def find_recipe(address: str) -> dict[str, Any]:
    """Returns the settings behind an address such as `configs/models.py:model_3`.

    Raises:
      UserError: if the recipes are not there, as they come with the repository.
    """
    file, _, variant = address.partition(":")
    try:
        config = import_module(file.removesuffix(".py").replace("/", "."))
    except ModuleNotFoundError:
        raise UserError(
            "the recipes in configs/ are not here: stand in the repository, and type "
            "`python -m jaxmnist` instead of `jaxmnist`."
        ) from None
    settings: dict[str, Any] = config.get_config(variant).to_dict()
    return settings
