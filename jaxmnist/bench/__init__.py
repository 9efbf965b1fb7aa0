"""Throughput beside PyTorch: the same work, in one process, on the same cores.

Modules whose names begin with `torch_` are the PyTorch side, and are imported only if PyTorch is
there and the verb runs. `compare.py` is the door.
"""
