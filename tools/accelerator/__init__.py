"""Everything worth knowing about an accelerator, in the order of worth; docs/accelerators.md.

`__main__.py` runs the sections one after the other, each in a process of its own (`worker.py`).
"""
