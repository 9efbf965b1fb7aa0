"""The list of all systems that `jaxmnist models` prints."""

from typing import Any

from jaxmnist.models.summary import layer_rows
from jaxmnist.models.zoo import MODELS, find_architecture
from jaxmnist.shipped import shipped_names
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.tasks import task_of

PUBLISHED = ("claim", "value", "metric", "measured_on")


def list_models() -> list[dict[str, Any]]:
    """Lists every system, then the models that belong to none.

    `params` and `flops` (of one image, forward) are counted, `published` is what was claimed, and
    `weights` the name of weights that come with the package.
    """
    listed = [
        _entry(name, system.family, system.model)
        | {"config": system.config, "as_run": system.as_run}
        | {
            "published": system.published
            and {field: getattr(system.published, field) for field in PUBLISHED}
        }
        for name, system in SYSTEMS.items()
    ]
    used = {system.model for system in SYSTEMS.values()}
    extra = {"config": None, "as_run": None, "published": None}
    return listed + [_entry(name, "yours", name) | extra for name in MODELS if name not in used]


def _entry(name: str, family: str, model: str) -> dict[str, Any]:
    architecture = find_architecture(model)
    rows = layer_rows(architecture, *task_of(architecture).image_size)
    return {
        "name": name,
        "family": family,
        "model": model,
        "params": sum(row.parameters for row in rows),
        "flops": sum(row.flops for row in rows),
        "weights": name if name in shipped_names() else None,
    }


def format_models(listed: list[dict[str, Any]]) -> str:
    """Formats the list as a table."""
    lines = [
        f"{'system':<16}{'parameters':>11}{'MFLOPs':>8}{'claimed':>9}  "
        f"{'measured on':<46}recipe (jaxmnist train ...)"
    ]
    for entry in listed:
        published = entry["published"] or {}
        claimed = f"{published['claim']}%" if published else "-"
        lines.append(
            f"{entry['name']:<16}{entry['params']:>11,}{entry['flops'] / 1e6:>8.1f}{claimed:>9}  "
            f"{published.get('measured_on', '-'):<46}{entry['config'] or '-'}"
        )
    return "\n".join(lines)
