"""Adam's update of one model's flattened weights, compiled by numba."""

from typing import no_type_check

import numpy as np
from numba import njit

from train.passes.compiling import COMPILE


@njit(**COMPILE)
@no_type_check
def adam(values, grads, exp_avg, exp_avg_sq, shrink, coupled, beta1, beta2, size, floor):
    """One update, in place, with the step's factors (float64) from ``train.optim.optimizer``."""
    keep1, new1 = np.float32(beta1), np.float32(1 - beta1)
    keep2, new2 = np.float32(beta2), np.float32(1 - beta2)
    shrink, coupled = np.float32(shrink), np.float32(coupled)
    size, floor = np.float32(size), np.float32(floor)
    for i in range(values.shape[0]):
        grad = grads[i] + coupled * values[i]
        mean = keep1 * exp_avg[i] + new1 * grad
        square = keep2 * exp_avg_sq[i] + new2 * grad * grad
        exp_avg[i] = mean
        exp_avg_sq[i] = square
        values[i] = shrink * values[i] - size * mean / (np.sqrt(square) + floor)
