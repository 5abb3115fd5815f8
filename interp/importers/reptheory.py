"""Chughtai et al. 2023 (2302.03025, rep-theory-mech-interp): transformers and one-layer MLPs on groups.

Facts come from the JSON file beside the weights: group, group_parameter, frac_train, seed. Elements of S_n and A_5 are
numbered as sympy generates them; embeddings and logits are permuted into our order, and so is the split, which is drawn
over pairs in their order.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from train.algebra.groups import GroupName, group, parse_group
from train.errors import DataError, UsageError

from .common import Given, Imported, in_order, make_config, mlp_fields, refuse_rest, settle, split_of, take, unknown_of
from .names import short
from .transformerlens import fields, hooked
from .unwrapping import Weights, converted, state_dicts

FAMILIES = {"CyclicGroup": "C", "DihedralGroup": "D", "SymmetricGroup": "S", "AlternatingGroup": "A"}
PLAIN = {"act_fn": "relu", "normalization_type": None}
"""Their transformer as settings of a TransformerLens config."""
UNSHUFFLED = "seed 0 leaves the pairs in order (their code tests the seed's truth), so the first ones are trained on"


def read(raw: Any, given: Given) -> Imported:
    """Read the model."""
    models, theirs = state_dicts(raw, given.step), given.config
    name = _group(given)
    order = element_order(name)
    first = next(iter(models.values()))
    is_mlp = "W_x" in first
    if "BilinearNet" in short(theirs.get("model")) or is_mlp and "W" not in first:
        raise DataError("it is a BilinearNet, which multiplies embeddings: no model here does that")
    if is_mlp:
        snapshots = converted(models, lambda weights: _mlp(weights, order))
        model = mlp_fields(next(iter(snapshots.values())), 1, "relu", "none", "answers")
    else:
        converted_models = converted(models, lambda weights: hooked(weights, PLAIN))
        model = fields(converted_models, "none") | {"act_fn": "relu", "attention": "causal", "outputs": "answers"}
        snapshots = converted(converted_models, lambda weights: _transformer(weights, order))
    seed = _seed(theirs.get("seed"))
    task = {
        **_operation(given, name),
        "layout": "a b" if is_mlp else "a b =",
        "shared_vocabulary": not is_mlp,
        "train_frac": theirs.get("frac_train"),
    }
    drawn = seed not in (None, 0) and given.split is None and given.split_seed is None
    task |= {"split": "torch", "split_seed": seed} if drawn else {}
    config = make_config(given, task, model, seed)
    is_train, notes = split_of(config, order), _notes(name)
    if seed == 0 and "split" not in config["task"] and "train_frac" in config["task"]:
        is_train, notes = _first_rows(config["task"]["train_frac"], order), (*notes, UNSHUFFLED)
    return Imported(config, snapshots, is_train, unknown_of(config), notes)


def _seed(seed: Any) -> int | None:
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise DataError(f"its config has seed {short(seed)}; a whole number is needed")
    return seed


def _notes(name: GroupName) -> tuple[str, ...]:
    return (f"elements of {name} were put from sympy's order into ours",) if name.family in "SA" else ()


# ---- the group -------------------------------------------------------------------------------------


def _group(given: Given) -> GroupName:
    in_file = None
    if "group" in given.config:
        family, n = given.config["group"], given.config.get("group_parameter")
        if family not in list(FAMILIES) or not isinstance(n, int):
            raise DataError(
                f"its config has group {short(family)}, {short(n)}; known are {', '.join(FAMILIES)}, with a number"
            )
        in_file = f"{FAMILIES[family]}{n}"
    flag = given.group if given.p is None else f"C{given.p}"
    if given.p is not None and given.group is not None:
        raise UsageError("got both --p and --group: give one (--p for a cyclic group)")
    name = settle("group" if given.p is None else "p", flag, in_file)
    if name is None:
        raise UsageError("the weights do not record the group: give --config FILE.json, --group or --p")
    try:
        return parse_group(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _operation(given: Given, name: GroupName) -> dict[str, Any]:
    """Composition, as addition of residues in a cyclic group."""
    op = given.op or ("add" if name.family == "C" else "compose")
    if op not in ("compose", "add") or op == "add" and name.family != "C":
        raise UsageError(f"--op {op}: models of this layout compose the elements of {name}; leave --op out")
    return {"op": "add", "p": name.n} if op == "add" else {"op": "compose", "group": str(name)}


def element_order(name: GroupName) -> Int[Tensor, " n"]:
    """Our numbers of the elements in their order.

    Raises:
        DataError: their code does not fix the order of the group's elements.
    """
    if name.family in "CD":
        return torch.arange(name.order)
    from sympy.combinatorics import Permutation, PermutationGroup
    from sympy.combinatorics.named_groups import SymmetricGroup

    if name.family == "S" and name.n >= 2:
        elements: list[Any] = list(SymmetricGroup(name.n).generate_schreier_sims())
    elif str(name) == "A5":
        generators = Permutation([1, 2, 3, 4, 0]), Permutation([0, 2, 1, 4, 3])
        elements = list(PermutationGroup(*generators).generate_schreier_sims())
    else:
        raise DataError(f"the order of the elements of {name} is not known: of alternating groups their code has A5")
    ours = {text: i for i, text in enumerate(group(str(name)).elements)}
    return torch.tensor([ours["".join(map(str, element.array_form))] for element in elements])


def _first_rows(train_frac: float, order: Int[Tensor, " n"]) -> Bool[Tensor, " rows"]:
    """Our mask of the first rows in their order."""
    n_rows = len(order) ** 2
    return in_order(torch.arange(n_rows) < int(train_frac * n_rows), order.argsort())


# ---- weights ---------------------------------------------------------------------------------------


def _transformer(weights: Mapping[str, Tensor], order: Int[Tensor, " n"]) -> Weights:
    """The weights with elements (rows of W_E) and answers (columns of W_U) in our order; "=" stays last."""
    n, back = len(order), order.argsort()
    W_E, W_U, b_U = weights["embed.W_E"], weights["unembed.W_U"], weights["unembed.b_U"]
    if W_E.shape[0] != n + 1 or W_U.shape[1] != n or weights["pos_embed.W_pos"].shape[0] != 3:
        raise DataError(
            f"embed.W_E has {W_E.shape[0]} tokens, unembed.W_U {W_U.shape[1]} logits, pos_embed.W_pos "
            f"{weights['pos_embed.W_pos'].shape[0]} positions; a group of {n} elements has {n + 1}, {n} and 3"
        )
    tokens = torch.cat([back, torch.tensor([n])])
    changed = {"embed.W_E": W_E[tokens], "unembed.W_U": W_U[:, back].contiguous(), "unembed.b_U": b_U[back]}
    return {**weights, **changed}


def _mlp(weights: Mapping[str, Tensor], order: Int[Tensor, " n"]) -> Weights:
    """Tensors of their MLP under our names: concatenated embeddings through one hidden layer without bias."""
    W_x, W_y, W, W_U = (take(weights, name, 2) for name in ("W_x", "W_y", "W", "W_U"))
    refuse_rest(weights, {"W_x", "W_y", "W", "W_U"})
    n, back = len(order), order.argsort()
    if W_x.shape[0] != n or W_y.shape != W_x.shape or W.shape[0] != 2 * W_x.shape[1]:
        shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in (("W_x", W_x), ("W_y", W_y), ("W", W)))
        raise DataError(f"{shapes} do not fit a OneLayerMLP on {n} elements: ({n}, d), ({n}, d) and (2d, hidden)")
    if W_U.shape != (W.shape[1], n):
        raise DataError(f"W_U has shape {tuple(W_U.shape)}; with this W it must be {(W.shape[1], n)}")
    return {
        "embed.W_E": torch.cat([W_x[back], W_y[back]]),
        "blocks.0.mlp.W_in": W,
        "blocks.0.mlp.b_in": torch.zeros(W.shape[1]),
        "unembed.W_U": W_U[:, back].contiguous(),
        "unembed.b_U": torch.zeros(n),
    }
