"""Norms against plain Python sums, and against the published total of a model other people trained."""

import math
import os
from pathlib import Path

import pytest
import torch

from interp.maths.norms import frobenius, total_norm


def test_by_hand():
    tensors = {"a": torch.tensor([3.0, 4.0]), "b": torch.full((2, 2, 3), -1.0), "c": torch.tensor(2.0)}
    assert frobenius(tensors) == {"a": 5.0, "b": math.sqrt(12), "c": 2.0}
    assert total_norm(tensors) == pytest.approx(math.sqrt(25 + 12 + 4))
    assert total_norm(tensors) != pytest.approx(5 + math.sqrt(12) + 2)  # control: not the sum of the norms


def test_float64_whatever_the_dtype():
    W = torch.full((1000, 1000), 0.1, dtype=torch.float32)
    exact = 1000 * float(W[0, 0])
    assert frobenius({"W": W})["W"] == pytest.approx(exact, rel=W.numel() * 2.0**-52)
    tiny = {"W": torch.full((4,), 1e-30)}
    assert total_norm(tiny) == pytest.approx(2 * float(tiny["W"][0]), rel=1e-13)
    assert (tiny["W"] ** 2).sum().sqrt() == 0  # control: the float32 formula underflows


def test_nothing_and_zero():
    assert frobenius({}) == {} and total_norm({}) == 0
    assert total_norm({"W": torch.zeros(3), "empty": torch.zeros(0)}) == 0
    assert math.isnan(total_norm({"W": torch.tensor([1.0, torch.nan])}))


@pytest.mark.parametrize(
    ("file", "expected"),
    [("nanda_mod_addition_no_wd.pth", 62.02), ("nanda_low_precision_mod_addition.pth", 33.71)],
)
def test_nanda_total_norm(file, expected):
    folder = os.environ.get("GROKLENS_THIRD_PARTY")
    if folder is None or not (path := Path(folder) / file).exists():
        pytest.skip(f"set GROKLENS_THIRD_PARTY to the folder with {file}")
    weights = torch.load(path, map_location="cpu", weights_only=True)["model"]
    parameters = {name: tensor for name, tensor in weights.items() if "mask" not in name}
    assert round(total_norm(parameters), 2) == expected
