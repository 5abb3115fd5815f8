"""What the measures of one snapshot share: each part is computed once and kept with the snapshot.

Parts are plain functions of a snapshot. One that does not apply raises ``NotApplicable`` with the reason, and so does
every part or measure that reads it.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from train.frugal import KNOWS, answer_logits, mlp_logits
from train.knows import Knows, unknown
from train.model import HookedMLP
from train.passes.plain import plain_forward
from train.plan import Plan, make_plan
from train.readers import NOT_OF_A_PASS
from train.tasks import Table

from .maths.pairs import line_means, variance_explained
from .runs import Run, Snapshot
from .structure import Cycle, Law, Unavailable, find_cycle, find_law

Part = TypeVar("Part", bound=Callable[..., Any])
Found = TypeVar("Found")


NO_NEURONS = "an attention-only model has no neurons"


class NotApplicable(Exception):  # noqa: N818 - no error: the reason is shown in the measure's place
    """Why a part does not exist for this run."""


def part(compute: Part) -> Part:
    """Keep what ``compute(owner, *args)`` gives, or why it does not apply, with its owner (a snapshot or a run)."""

    @functools.wraps(compute)
    def once(owner: Any, *args: Any) -> Any:
        key = (compute.__module__, compute.__qualname__, *args)
        if key not in owner.kept:
            try:
                owner.kept[key] = compute(owner, *args)
            except NotApplicable as reason:
                owner.kept[key] = reason
        found = owner.kept[key]
        if isinstance(found, NotApplicable):
            raise NotApplicable(str(found))
        return found

    return once  # type: ignore[return-value]


MATRICES: Knows = {**KNOWS, "model.norm": {"none"}}
"""Settings for which matrices of weights join embeddings, neurons and logits as the papers multiply them."""
FORWARD = ("task", "model")
"""Parts of the config that a model's forward depends on."""
NOT_OF_A_FORWARD = NOT_OF_A_PASS | {f"task.{name}" for name in ("train_frac", "split", "split_seed", "outliers")}
"""Settings of these that it does not: initialisation, labels and the split, which may be unknown."""


def require(run: Run, knows: Knows, what: str) -> None:
    """Refuse a run whose model or task a formula was not written for.

    Args:
        knows: settings of the model and the task that the formula holds for.
        what: the formula, as the reason names it.

    Raises:
        NotApplicable: the run has a setting of another value.
    """
    setting = unknown(knows, run.config, FORWARD, NOT_OF_A_FORWARD)
    if setting is not None:
        raise NotApplicable(f"{what} is not defined for {setting}")


# ---- of the run ------------------------------------------------------------------------------------


@part
def table_of(run: Run) -> Table:
    """The table of the run's operation."""
    if run.task.table is None:
        raise NotApplicable("this task has no all-pairs table")
    return run.task.table


@part
def cycle_of(run: Run) -> Cycle:
    """The cycle of the run's elements."""
    return _available(find_cycle(run.task))


@part
def law_of(run: Run) -> Law:
    """The law of the run's operation."""
    return _available(find_law(run.task))


def _available(found: Found | Unavailable) -> Found:
    if isinstance(found, Unavailable):
        raise NotApplicable(found.reason)
    return found


def has_law(run: Run) -> bool:
    """Whether the operation has one."""
    try:
        law_of(run)
    except NotApplicable:
        return False
    return True


@part
def line_of(run: Run) -> Int64[Tensor, " rows"]:
    """The line of each row by its answer, -1 for rows outside the law's cycle."""
    law = law_of(run)
    line = torch.full((len(run.task.labels),), -1)
    line[law.by_answer.flatten()] = torch.arange(law.n).repeat_interleave(law.n)
    return line


@part
def rows_of(run: Run, subset: str) -> Int64[Tensor, " chosen"]:
    """Defined rows of "train", "test" or "all"."""
    task = run.task
    if subset != "all" and task.is_train is None:
        raise NotApplicable("the split into training and test rows is unknown")
    if len(task.answer_positions) != 1:
        raise NotApplicable("this task has several answers a row")
    rows = task.rows(subset)
    if not len(rows):
        raise NotApplicable(f"there are no {subset} rows")
    return rows


@part
def law_rows(run: Run, subset: str) -> Int64[Tensor, " chosen"]:
    """Those of them that lie on the law's lines."""
    rows = rows_of(run, subset)
    rows = rows[line_of(run)[rows] >= 0]
    if not len(rows):
        raise NotApplicable(f"no {subset} row lies on the cycle")
    return rows


@part
def _plan_of(run: Run) -> Plan:
    return make_plan(run.task.tokens, run.task.answer_positions, run.config.model.n_layers)


# ---- of the snapshot: activations ------------------------------------------------------------------


@part
def weights_of(snap: Snapshot) -> dict[str, Tensor]:
    """Tensors by name."""
    return {name: tensor.detach() for name, tensor in snap.model.state_dict().items()}


@part
def _activations(snap: Snapshot) -> tuple[Tensor, Tensor | None]:
    return forward(snap, weights_of(snap))


@torch.no_grad()
def forward(snap: Snapshot, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits [rows, d_vocab_out] at the answer and the last layer's neurons there [rows, d_mlp], for other weights.

    By the frugal forward where it knows the run's model and task, else by the hooked model itself. Without an MLP there
    are no neurons: None.
    """
    if len(snap.task.answer_positions) != 1:
        raise NotApplicable("this task has several answers a row")
    kept: dict[str, Tensor] = {}
    cfg = snap.model.cfg
    hook = None if cfg.attn_only else f"blocks.{cfg.n_layers - 1}.mlp.hook_post"
    if unknown(KNOWS, snap.run.config, FORWARD, NOT_OF_A_FORWARD) is not None:
        at = snap.task.answer_positions[0]
        logits, neurons = plain_forward(snap.model, weights, snap.task.tokens, [at], hook)
        if neurons is not None:
            neurons = neurons[:, 0 if neurons.shape[1] == 1 else at]  # an MLP's stand at a position of their own
        return logits.flatten(1), neurons
    if isinstance(snap.model, HookedMLP):
        logits = mlp_logits(weights, cfg, snap.task.tokens, keep=kept.__setitem__)
    else:
        logits = answer_logits(weights, cfg, _plan_of(snap.run), keep=kept.__setitem__)
    return logits.flatten(1), None if hook is None else kept[hook].flatten(1)


@part
def all_logits(snap: Snapshot) -> Float[Tensor, "rows d_vocab_out"]:
    """Logits at the answer of every row, those of "=" and the like included where the model has them."""
    return _activations(snap)[0]


@part
def logits_of(snap: Snapshot) -> Float[Tensor, "rows n"]:
    """Logits of the elements alone, float64."""
    return all_logits(snap)[:, : table_of(snap.run).n].double()


@part
def neurons_of(snap: Snapshot) -> Float[Tensor, "rows d_mlp"]:
    """The last layer's activations after the nonlinearity, at the answer."""
    neurons = _activations(snap)[1]
    if neurons is None:
        raise NotApplicable(NO_NEURONS)
    return neurons


@part
def neuron_logit_map(snap: Snapshot) -> Float[Tensor, "d_mlp n"]:
    """W_L = W_out W_U (in an MLP W_U) onto the elements' logits, float64; times the scale of the logits."""
    weights, cfg = weights_of(snap), snap.model.cfg
    if cfg.attn_only:
        raise NotApplicable(NO_NEURONS)
    if cfg.normalization_type is not None:
        raise NotApplicable("a layer norm stands between the neurons and the logits: no matrix joins them")
    require(snap.run, MATRICES, "the neuron-logit map")
    W_U = cfg.output_scale * weights["unembed.W_U"].double()[:, : table_of(snap.run).n]
    if isinstance(snap.model, HookedMLP):
        return W_U
    return weights[f"blocks.{cfg.n_layers - 1}.mlp.W_out"].double() @ W_U


# ---- of the snapshot: as functions of the pair -----------------------------------------------------


@part
def logit_means(snap: Snapshot) -> Float[Tensor, "n n_elements"]:
    """Mean logits over the pairs with one answer."""
    return line_means(logits_of(snap), law_of(snap.run).by_answer)


@part
def clock_profile(snap: Snapshot) -> Float[Tensor, " n"]:
    """g(d): mean over pairs of the logit of the answer's d-th successor along the cycle, centred over the cycle.

    Its Fourier coefficients are the logits' along cos and sin of w(c - answer).
    """
    law = law_of(snap.run)
    means = logit_means(snap)[:, law.cycle.order]
    centred = means - means.mean(dim=1, keepdim=True)
    shift = (torch.arange(law.n)[:, None] + torch.arange(law.n)) % law.n
    return centred.gather(1, shift).mean(dim=0)


@part
def cycle_logits(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Logits [line, pair of the line, element along the cycle]."""
    law = law_of(snap.run)
    return logits_of(snap)[law.by_answer][..., law.cycle.order]


@part
def centred_logits(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Those, centred over the elements of the cycle."""
    logits = cycle_logits(snap)
    return logits - logits.mean(dim=-1, keepdim=True)


@part
def neuron_means(snap: Snapshot) -> dict[str, Float[Tensor, "n d_mlp"]]:
    """Means of the neurons over the pairs with one first element, second element, answer, difference."""
    law, neurons = law_of(snap.run), neurons_of(snap)
    lines = {"first": law.by_a, "second": law.by_b, "total": law.by_answer, "difference": law.by_difference}
    return {name: line_means(neurons, rows) for name, rows in lines.items()}


@part
def neuron_fve(snap: Snapshot) -> Float[Tensor, "n_freqs d_mlp"]:
    """Share of each neuron's variance at each frequency: see ``maths.pairs.variance_explained``."""
    law, means = law_of(snap.run), neuron_means(snap)
    neurons = neurons_of(snap)
    if len(neurons) != law.n**2:
        neurons = neurons[law.by_a.flatten()]
    mean = means["first"].mean(dim=0)
    variance = (neurons - mean.to(neurons.dtype)).square().mean(dim=0).double()
    return variance_explained(**means, variance=variance)


@part
def best_frequency(snap: Snapshot) -> tuple[Int64[Tensor, " d_mlp"], Float[Tensor, " d_mlp"]]:
    """Of each neuron, the frequency k that explains most of its variance, and the share that it explains."""
    best = neuron_fve(snap).max(dim=0)
    return best.indices + 1, best.values


# ---- of the snapshot: rows along the cycle ---------------------------------------------------------


@part
def element_tokens(run: Run, operand: str) -> Int64[Tensor, " n"]:
    """Tokens of the elements as operand "a" or "b", in the order of the cycle."""
    order = cycle_of(run).order
    if operand == "a":
        return order
    if run.config.task.shared_vocabulary:
        raise NotApplicable("both operands have the same embedding")
    return order + table_of(run).n


@part
def embedding_rows(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n d_model"]:
    """Embeddings of the elements, in the order of the cycle, float64."""
    return weights_of(snap)["embed.W_E"].double()[element_tokens(snap.run, operand)]


@part
def embedding_axes(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n_axes d_model"]:
    """Principal axes of the embeddings of the elements, the longest first."""
    rows = embedding_rows(snap, operand)
    return torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh


@part
def embedding_components(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n n_axes"]:
    """Principal components: the centred embeddings of the elements along their principal axes."""
    rows = embedding_rows(snap, operand)
    return (rows - rows.mean(dim=0)) @ embedding_axes(snap, operand).T
