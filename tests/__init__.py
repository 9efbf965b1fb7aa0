"""Tests. In them jaxtyping checks the package's annotations with this checker (pyproject.toml)."""

from beartype import BeartypeConf, beartype

# An int is a float (PEP 484's numeric tower), as it is for mypy.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
