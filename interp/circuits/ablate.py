"""Ablations of neurons, heads and Fourier components, as hooks."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.maths.pairs import at_frequencies, frequency_rows, line_means
from interp.parts.memo import Unavailable
from interp.parts.structure import Law
from train.errors import UsageError

from .hooks import Hooks, Numbers, check_choice, check_numbers

How = Literal["zero", "mean"]
Along = Literal["answer", "difference", "a", "b", "all four"]


def ablate_neurons(neurons: Numbers, layer: int = 0, how: How = "zero") -> Hooks:
    """Set neurons of a layer, after the activation function, to 0 or to their mean, at every position.

    The mean is over all rows of the batch, position by position (rows with undefined answers included).
    A cluster is a list of neurons.

    Raises:
        UsageError: another ``how``; when the hook runs, a neuron that the layer does not have.
    """
    return _ablate(f"blocks.{layer}.mlp.hook_post", "neuron", neurons, how)


def ablate_heads(heads: Numbers, layer: int = 0, how: How = "zero") -> Hooks:
    """Set the outputs of heads of a layer (``hook_z``) to 0 or to their mean, at every position.

    The mean is over all rows of the batch, position by position (rows with undefined answers included).

    Raises:
        UsageError: another ``how``; when the hook runs, a head that the layer does not have.
    """
    return _ablate(f"blocks.{layer}.attn.hook_z", "head", heads, how)


def _ablate(hook_name: str, what: str, numbers: Numbers, how: str) -> Hooks:
    """Hooks that ablate some indices along an activation's third axis."""
    check_choice("how", how, ("zero", "mean"))
    indices = torch.tensor([int(number) for number in numbers], dtype=torch.long)

    def ablate(x: Float[Tensor, "rows pos ..."], hook: HookPoint) -> Float[Tensor, "rows pos ..."]:
        check_numbers(what, indices.tolist(), x.shape[2], hook_name)
        out = x.clone()
        out[:, :, indices] = x[:, :, indices].mean(dim=0, keepdim=True) if how == "mean" else 0.0
        return out

    return [(hook_name, ablate)]


def ablate_frequencies(
    law: Law | Unavailable,
    ks: Numbers,
    hook_name: str = "unembed.hook_out",
    along: Along = "answer",
    keep: bool = False,
) -> Hooks:
    """Remove the cos and sin components of an activation at frequencies ``ks``, or (``keep``) all its other components.

    The activation [rows, ...] is read as functions of the pair, one for every index after the first axis. Along
    "answer" its components are cos and sin of w x(answer), x being the place in the law's cycle (w(a+b) for
    addition); along "difference", of the place on which the answer does not depend (w(a-b)); along "a" and "b", of one
    operand; along "all four", all of these. Components have mean zero over the pairs, so zero- and mean-ablation are
    the same and the activation's mean stays, also with ``keep``. Pairs outside the law's lines (an operand 0 in ``mul``
    and ``div``) keep their activations, and values that are not finite stay. Source: the ablations in Fourier space of
    Nanda et al. 2023 (2301.05217): one frequency of the logits at a time, or all but the key ones.

    Raises:
        UsageError: another ``along``, no law (with the reason); when the hook runs, a batch that is not all rows
            of the task.
        ValueError: a frequency that is not in 1..n//2.
    """
    check_choice("along", along, ("answer", "difference", "a", "b", "all four"))
    if isinstance(law, Unavailable):
        raise UsageError(f"no frequencies to ablate: {law.reason}")
    n, freqs = law.n, sorted({int(k) for k in ks})
    frequency_rows(n, freqs)  # refuses other frequencies here, not when the hook runs
    n_rows = (n + len(law.cycle.apart)) ** 2
    sets = {"answer": law.by_answer, "difference": law.by_difference, "a": law.by_a, "b": law.by_b}
    parts = [(lines, freqs) for name, lines in sets.items() if along in (name, "all four")]
    if along == "all four":  # for even n the alternating functions of difference and answer are equal: remove one
        parts[1] = (law.by_difference, [k for k in freqs if 2 * k != n])

    def filter_pairs(x: Float[Tensor, "rows ..."], hook: HookPoint) -> Float[Tensor, "rows ..."]:
        if len(x) != n_rows:
            raise UsageError(
                f"{hook_name} came with {len(x)} rows; frequencies need all {n_rows} rows of the task in order, "
                "as snap.loss, snap.run_with_cache and effects run them"
            )
        part = sum((_part(x, lines, at) for lines, at in parts), torch.zeros((), dtype=x.dtype))
        if not keep:
            return x - part
        out, rows = x.clone(), law.by_a.flatten()
        out[rows] = x[rows].mean(dim=0) + part[rows]
        return out

    return [(hook_name, filter_pairs)]


def _part(x: Float[Tensor, "rows ..."], lines: Int64[Tensor, "n size"], ks: list[int]) -> Float[Tensor, "rows ..."]:
    """Part of x at these frequencies along these lines; 0 in rows on no line, and where x is not finite."""
    by_line = at_frequencies(line_means(x, lines), ks).nan_to_num(0.0, 0.0, 0.0).to(x.dtype)
    line = torch.full((len(x),), len(lines))  # rows on no line take the row of zeros appended below
    line[lines] = torch.arange(len(lines))[:, None]
    return torch.cat([by_line, torch.zeros_like(by_line[:1])]).index_select(0, line)
