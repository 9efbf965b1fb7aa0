"""Writes docs/configuration.md: `python -m tools.config_page > docs/configuration.md`."""

from jaxmnist import config, fields
from jaxmnist.old_configs import RENAMED

HEAD = """\
# Every field of a configuration

Written by `python -m tools.config_page > docs/configuration.md` from the schema in
[jaxmnist/config.py](../jaxmnist/config.py). A field is set on the command line as
`--config.FIELD=VALUE`, in a recipe ([configs/](../configs)) as `config.FIELD = VALUE`, in Python
with `dataclasses.replace`. To add a field, declare it in its group there: the checks, `--help`
and this page follow. The defaults here are the schema's. A recipe changes many of them: what a run
is trained with stands in its `config.json`.
"""


def page() -> str:
    """Returns the page: every field with default, help and what it accepts, group by group."""
    lines = [HEAD.rstrip()]
    for group in fields.walk(config.Config):
        name = group.prefix.rstrip(".")
        summary = (group.__doc__ or "").splitlines()[0]
        lines += ["", f"## {f'`{name}`' if name else 'Top level'}", "", summary, ""]
        lines += ["| field | default | what it is | it must be |", "|---|---|---|---|"]
        for field in fields.own_fields(group):
            cells = [f"`{group.prefix}{field.name}`", f"`{field.default!r}`"]
            cells += [field.metadata["help"], field.metadata["rule"].wanted]
            lines.append(f"| {' | '.join(cells)} |")
    renamed = ", ".join(f"`{old}` (now `{new}`)" for old, (new, _) in RENAMED.items())
    lines += ["", f"Names of older configurations are understood: {renamed}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
