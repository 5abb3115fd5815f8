"""Chughtai et al.'s models (rep-theory-mech-interp): TransformerLens transformers and MLPs on group composition.

Their elements come in an order of their own: residues; r^i s^j at i + n j; permutations as sympy lists them. Weights
are brought into ours. Their data are shuffled by ``torch.manual_seed(seed); torch.randperm(n^2)``, except for seed 0,
which their code takes for "do not shuffle": then the first rows in order are trained on.
"""

from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from train.errors import DataError, UsageError
from train.groups import group

from .common import Given, Imported, Weights, add_split, biases, convert, need, refuse_rest, snapshots_of
from .nanda import sizes

FAMILIES = {"CyclicGroup": "C", "DihedralGroup": "D", "SymmetricGroup": "S", "AlternatingGroup": "A"}


def read(raw: Any, given: Given) -> Imported:
    """A transformer or a OneLayerMLP; group, seed and training share come from the JSON beside it, or from flags.

    Raises:
        UsageError: the group is not told, or not allowed.
        DataError: the file is not of this layout, or is a BilinearNet.
    """
    snapshots = snapshots_of(raw, given, step=given.config.get("num_epochs"))
    first = next(iter(snapshots.values()))
    name = _group_name(given)
    try:
        order = token_order(name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    n = len(order)
    is_mlp = "W_x" in first
    if is_mlp and "W" not in first:
        raise DataError("a BilinearNet multiplies its embeddings: no model here computes that")
    made = convert(snapshots, lambda w: _mlp(w, order) if is_mlp else _transformer(w, order))
    structure = {"op": "add", "p": n} if name.startswith("C") else {"op": "compose", "p": None, "group": name}
    if given.op is not None:
        structure["op"] = given.op
    task = {**structure, "layout": "a b" if is_mlp else "a b =", "shared_vocabulary": not is_mlp}
    ours = next(iter(made.values()))
    model = _mlp_sizes(ours) if is_mlp else {**sizes(ours), "attention": "causal", "biases": biases(ours)}
    is_train = add_split(task, given) if given.split is not None else _own_split(task, given, order)
    return Imported({"task": task, "model": {**model, "outputs": "answers"}}, made, is_train, ())


def _group_name(given: Given) -> str:
    family, n = given.config.get("group"), given.config.get("group_parameter")
    if given.group is not None:
        return given.group
    if given.p is not None:
        return f"C{given.p}"
    if family is None or n is None:
        raise UsageError("the group is not in the weights: give --config with the run's JSON, or --group such as S5")
    if family not in FAMILIES:
        raise UsageError(f"group = {family!r} cannot be imported; allowed are {', '.join(FAMILIES)}")
    return f"{FAMILIES[family]}{n}"


def token_order(name: str) -> Int64[Tensor, " n"]:
    """Their token of each of our elements.

    Permutations are listed by sympy's ``generate_schreier_sims``, from its own generators of S_n, from (0 1 2 3 4) and
    (1 2)(3 4) for A5. Raises ValueError for a group that is not allowed or whose order is not known.
    """
    ours = group(name)
    if name[0] not in "SA":
        return torch.arange(ours.order)
    from sympy.combinatorics import Permutation, PermutationGroup
    from sympy.combinatorics.named_groups import SymmetricGroup

    if name[0] == "S":
        made: Any = SymmetricGroup(int(name[1:]))
    elif name == "A5":
        made = PermutationGroup(Permutation(0, 1, 2, 3, 4), Permutation(1, 2)(3, 4))
    else:
        raise ValueError(f"the order of the elements of {name} in this layout is not known; of A<n>, A5 is")
    theirs = ["".join(map(str, element.array_form)) for element in made.generate_schreier_sims()]
    return torch.tensor([theirs.index(element) for element in ours.elements])


def _own_split(task: dict[str, Any], given: Given, order: Int64[Tensor, " n"]) -> Bool[Tensor, " rows"] | None:
    """The split that their code draws, in our order of rows."""
    share = given.train_frac if given.train_frac is not None else given.config.get("frac_train")
    seed = given.split_seed if given.split_seed is not None else given.config.get("seed")
    if share is None or seed is None:
        return None
    n = len(order)
    shuffled = torch.arange(n * n)
    if seed:
        shuffled = torch.randperm(n * n, generator=torch.Generator().manual_seed(int(seed)))
    theirs = torch.zeros(n * n, dtype=torch.bool)
    theirs[shuffled[: int(share * n * n)]] = True
    task |= {"train_frac": float(share), "split": "torch", "split_seed": int(seed)}
    return theirs[(order[:, None] * n + order).flatten()]


def _transformer(weights: Weights, order: Int64[Tensor, " n"]) -> dict[str, Tensor]:
    """TransformerLens names and shapes, elements reordered; copies of the embedding are left out."""
    W_E, n = need(weights, "embed.W_E", 2), len(order)
    if W_E.shape[0] != n + 1:
        raise DataError(f"embed.W_E has {W_E.shape[0]} rows; {n} elements and '=' ask for {n + 1}")
    copies = [name for name in ("x_embed", "y_embed") if name in weights and torch.equal(weights[name], W_E)]
    made = {name: tensor for name, tensor in weights.items() if name not in copies}
    made["embed.W_E"] = W_E[torch.cat([order, torch.tensor([n])])]
    made["unembed.W_U"] = need(weights, "unembed.W_U", 2)[:, order]
    if "unembed.b_U" in weights:
        made["unembed.b_U"] = need(weights, "unembed.b_U", 1)[order]
    known = {f"blocks.0.attn.{kind}_{letter}" for kind in "Wb" for letter in "QKVO"}
    known |= {f"blocks.0.mlp.{name}" for name in ("W_in", "b_in", "W_out", "b_out")}
    refuse_rest(made, known | {"embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U"})
    return made


def _mlp(weights: Weights, order: Int64[Tensor, " n"]) -> dict[str, Tensor]:
    """Each operand's embedding, side by side, through one hidden layer without biases."""
    refuse_rest(weights, ["W_x", "W_y", "W", "W_U"])
    return {
        "embed.W_E": torch.cat([need(weights, name, 2)[order] for name in ("W_x", "W_y")]),
        "blocks.0.mlp.W_in": need(weights, "W", 2),
        "unembed.W_U": need(weights, "W_U", 2)[:, order],
    }


def _mlp_sizes(ours: Weights) -> dict[str, Any]:
    d_model, d_mlp = ours["embed.W_E"].shape[1], ours["unembed.W_U"].shape[0]
    return {"arch": "mlp", "n_layers": 1, "d_model": d_model, "d_mlp": d_mlp, "act_fn": "relu", "biases": "none"}
