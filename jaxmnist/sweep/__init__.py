"""Many trainings of one recipe: points that share all shapes are members of one population.

`run.py` is the door; `points.py` says what is tried, `results.py` what came of it, and `guided.py`
chooses the next points by those before.
"""
