"""Theory of the solvable model of Bordelon et al. 2024 (2409.17858)."""
