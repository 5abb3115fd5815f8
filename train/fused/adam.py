"""Adam's update of a row of numbers, compiled by numba."""

from typing import no_type_check

import numpy as np
from numba import njit

from .compiling import COMPILE


@njit(**COMPILE)
@no_type_check
def adam(values, grads, exp_avg, exp_avg_sq, step, lr, beta1, beta2, eps, weight_decay, decoupled):
    """Update number ``step`` (1 is the first) of Adam, in place: Kingma and Ba 2015 (1412.6980), algorithm 1.

    Weight decay is decoupled (Loshchilov and Hutter 2019, 1711.05101, algorithm 2), or added to the gradient.
    """
    correction = np.sqrt(1 - beta2**step)
    keep1, new1 = np.float32(beta1), np.float32(1 - beta1)
    keep2, new2 = np.float32(beta2), np.float32(1 - beta2)
    shrink = np.float32(1 - lr * weight_decay) if decoupled else np.float32(1)
    coupled = np.float32(0) if decoupled else np.float32(weight_decay)
    size, floor = np.float32(lr * correction / (1 - beta1**step)), np.float32(eps * correction)
    for i in range(values.shape[0]):
        grad = grads[i] + coupled * values[i]
        mean = keep1 * exp_avg[i] + new1 * grad
        square = keep2 * exp_avg_sq[i] + new2 * grad * grad
        exp_avg[i] = mean
        exp_avg_sq[i] = square
        values[i] = shrink * values[i] - size * mean / (np.sqrt(square) + floor)
