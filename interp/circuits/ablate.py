"""Ablations: neurons, heads and Fourier components, taken out by hooks."""

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
        UsageError: another ``how``; when the hook acts, a neuron that the layer does not have.
    """
    return _ablate(f"blocks.{layer}.mlp.hook_post", "neuron", neurons, how)


def ablate_heads(heads: Numbers, layer: int = 0, how: How = "zero") -> Hooks:
    """Set what heads of a layer gather (``hook_z``) to 0 or to its mean, at every position; the mean as for neurons.

    Raises:
        UsageError: another ``how``; when the hook acts, a head that the layer does not have.
    """
    return _ablate(f"blocks.{layer}.attn.hook_z", "head", heads, how)


def _ablate(hook_name: str, what: str, numbers: Numbers, how: str) -> Hooks:
    """Hooks for some numbers along an activation's third axis."""
    check_choice("how", how, ("zero", "mean"))
    chosen = torch.tensor([int(number) for number in numbers], dtype=torch.long)

    def ablate(x: Float[Tensor, "rows pos ..."], hook: HookPoint) -> Float[Tensor, "rows pos ..."]:
        check_numbers(what, chosen.tolist(), x.shape[2], hook_name)
        out = x.clone()
        out[:, :, chosen] = x[:, :, chosen].mean(dim=0, keepdim=True) if how == "mean" else 0.0
        return out

    return [(hook_name, ablate)]


def ablate_frequencies(
    law: Law | Unavailable,
    ks: Numbers,
    hook_name: str = "unembed.hook_out",
    along: Along = "answer",
    keep: bool = False,
) -> Hooks:
    """Take out of an activation its cos and sin components at frequencies ``ks``, or keep no others.

    The activation [rows, ...] is read as functions of the pair, one for every place after the first axis. Along
    "answer" its components are cos and sin of w x(answer), x being the place in the law's cycle (w(a+b) for
    addition); along "difference", of what the answer does not depend on (w(a-b)); along "a" and "b", of one
    operand; along "all four", all of these. Components have mean zero over the pairs, so to zero one and to
    replace it by its mean are the same, and the activation's mean stays, as it does with ``keep``. Pairs outside the
    law's lines (an operand 0 in ``mul`` and ``div``) are left as they are, and so are values that are not finite.
    Source: the ablations in Fourier space of Nanda et al. 2023 (2301.05217): a frequency of the logits at a time,
    or all but the key ones.

    Raises:
        UsageError: another ``along``, no law (with its reason); when the hook acts, a batch that is not all rows
            of the task.
        ValueError: a frequency that is not in 1..n//2.
    """
    check_choice("along", along, ("answer", "difference", "a", "b", "all four"))
    if isinstance(law, Unavailable):
        raise UsageError(f"no frequencies to ablate: {law.reason}")
    n, chosen = law.n, sorted({int(k) for k in ks})
    frequency_rows(n, chosen)
    n_rows = (n + len(law.cycle.apart)) ** 2
    sets = {"answer": law.by_answer, "difference": law.by_difference, "a": law.by_a, "b": law.by_b}
    parts = [(lines, chosen) for name, lines in sets.items() if along in (name, "all four")]
    if along == "all four":  # the alternating function of the difference is that of the answer: once is enough
        parts[1] = (law.by_difference, [k for k in chosen if 2 * k != n])

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
    """What x holds at these frequencies along these lines; 0 in rows of no line, and where x is not finite."""
    found = at_frequencies(line_means(x, lines), ks).nan_to_num(0.0, 0.0, 0.0).to(x.dtype)
    line = torch.full((len(x),), len(lines))
    line[lines] = torch.arange(len(lines))[:, None]
    return torch.cat([found, torch.zeros_like(found[:1])])[line]
