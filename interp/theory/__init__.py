"""Theory of the solvable model of Bordelon et al. 2024 (2409.17858), by NumPy and SciPy alone.

Errors are those of ``checks``: ``OutOfRange`` for a parameter, ``Unsolvable`` for a calculation without a result.
"""
