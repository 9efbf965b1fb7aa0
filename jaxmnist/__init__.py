"""Reads handwritten digits with small JAX models, and trains them from published recipes."""

__version__ = "0.1.0"
