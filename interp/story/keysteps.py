"""The choice of a few snapshots, spread over the steps and over the transition."""

import numpy as np
import pandas as pd

IMAGE_BYTES = 480_000
"""Largest number of bytes that the images of one figure may add to a page."""
WEIGHT_OF_TIME = 0.5
"""Weight of (log) steps beside the movement of the curves."""


def key_steps(evaluations: pd.DataFrame, steps: list[int], count: int = 12) -> list[int]:
    """At most ``count`` of ``steps``, the first and last among them, evenly spread along the run's curve.

    The distance along the curve adds up the movements of log10 test loss, of both accuracies and, at half
    weight, of log10 step, each as a share of its own total movement.

    Args:
        evaluations: columns step, test_loss, train_acc, test_acc; rows at least at ``steps``.
        steps: the steps to choose from, rising.
        count: how many to choose, at least 2.
    """
    if len(steps) <= count:
        return list(steps)
    rows = evaluations.set_index("step").reindex(steps).ffill().bfill()
    curves = [
        (np.log10(rows["test_loss"].clip(lower=1e-12)), 1.0),
        (rows["train_acc"], 1.0),
        (rows["test_acc"], 1.0),
        (pd.Series(np.log10(np.array(steps) + 1.0)), WEIGHT_OF_TIME),
    ]
    length = np.zeros(len(steps))
    for curve, weight in curves:
        if curve.isna().all():  # never logged: only the other curves count
            continue
        moved = np.abs(np.diff(curve.to_numpy(dtype=float), prepend=curve.iloc[0]))
        length += weight * np.cumsum(moved) / max(moved.sum(), 1e-12)
    targets = np.linspace(0, length[-1], count)
    indices = {int(np.abs(length - w).argmin()) for w in targets} | {0, len(steps) - 1}
    return [steps[i] for i in sorted(indices)]


def fitting_steps(evaluations: pd.DataFrame, steps: list[int], bytes_a_step: int, most: int) -> list[int]:
    """All steps where their values fit in ``most`` bytes, else as many key steps as fit, at least two.

    Args:
        evaluations, steps: as in ``key_steps``.
        bytes_a_step: of one step's values, before compression.
        most: bytes of all steps together.
    """
    return key_steps(evaluations, steps, max(2, most // max(1, bytes_a_step)))


def image_steps(evaluations: pd.DataFrame, steps: list[int], n: int, images: int) -> list[int]:
    """Key steps for figures of n x n images: at most a dozen, and as few as keep the figure within IMAGE_BYTES.

    Args:
        evaluations, steps: as in ``key_steps``.
        n: rows and columns of an image, of which a cell takes 4/3 of a byte in the page.
        images: images a step.
    """
    fit = int(IMAGE_BYTES / (4 / 3 * n * n * images))
    return key_steps(evaluations, steps, min(12, max(2, fit)))
