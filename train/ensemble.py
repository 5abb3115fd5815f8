"""How many runs may train side by side: what must be alike, and what fits in memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .config import RunConfig
from .errors import UsageError
from .memory import FREE_SHARE, free_bytes

if TYPE_CHECKING:
    import torch


def shape_of(config: RunConfig) -> dict[str, Any]:
    """What runs in one stack have in common, by field: architecture, number of tokens, batch size, precision and the
    kind of update.

    Seeds, splits, train fractions, operations, settings of the optimiser, initialisation and schedules may differ.
    """
    model = {name: value for name, value in vars(config.model).items() if name not in ("init", "init_scale")}
    task, optim = config.task, config.optim
    return {
        **model,
        "elements": task.n_elements,
        "layout": task.layout,
        "shared_vocabulary": task.shared_vocabulary,
        "d_vocab_out": config.d_vocab_out,
        "batch_size": optim.batch_size,
        "precision": optim.precision,
        "loss": optim.loss,
        "loss_precision": optim.loss_precision,
        "optimizer": optim.optimizer if optim.optimizer in ("muon", "sgd") else "adam",
        "decay_towards": f"{'coupled, ' * (optim.is_coupled and optim.decay_towards == 'init')}{optim.decay_towards}",
        "dropout": optim.dropout > 0,
        "weight_noise": optim.weight_noise > 0,
        "update_noise": optim.update_noise > 0,
        "orthogonal_gradient": optim.orthogonal_gradient,
        "grokfast": optim.grokfast,
        "grokfast_window": optim.grokfast_window,
        "norm_clamp": optim.norm_clamp is not None,
    }


def check_shapes(configs: Sequence[RunConfig]) -> None:
    """Refuse runs of different shapes.

    Raises:
        UsageError: naming the fields that differ, and two of their values.
    """
    first = shape_of(configs[0])
    for config in configs[1:]:
        other = shape_of(config)
        differ = [f"{name} ({first[name]} and {other[name]})" for name in first if first[name] != other[name]]
        if differ:
            raise UsageError(
                f"runs that train side by side must have one shape; these differ in {', '.join(differ)}: "
                "train them one after the other, or in a stack for each shape"
            )


def bytes_per_run(config: RunConfig) -> int:
    """Memory that each further run of a stack takes: weights, gradient, moments, the task, its training rows.

    Counted, not measured; what a step needs besides is shared by all.
    """
    task, model = config.task, config.model
    width, heads = model.d_model, model.n_heads * model.head_width
    if model.arch == "mlp":
        weights = task.n_ctx * width * model.mlp_width + (model.n_layers - 1) * model.mlp_width**2
    else:
        weights = model.n_layers * width * (4 * heads + 2 * model.mlp_width + 9)
    weights += (task.d_vocab + task.n_ctx) * width + max(width, model.mlp_width) * config.d_vocab_out
    tokens = task.n_elements**2 * 8 * (task.n_ctx + 5)
    rows = task.n_train * 4 * (2 * task.n_ctx + task.n_ctx * model.n_heads + 4)
    copies = 4 + (config.optim.grokfast == "ema") + (config.optim.grokfast_window or 0)
    return copies * 4 * weights + tokens + rows


def check_memory(configs: Sequence[RunConfig], device: "torch.device") -> None:
    """Refuse more runs than fit.

    Raises:
        UsageError: naming the largest number that fits.
    """
    free = free_bytes(device)
    most = int(FREE_SHARE * free / bytes_per_run(configs[0]))
    if len(configs) > most:
        need = len(configs) * bytes_per_run(configs[0])
        raise UsageError(
            f"{len(configs)} runs side by side need {need / 1e9:.1f} GB of the {free / 1e9:.1f} GB that are free on "
            f"{device}; {most} fit: ask for fewer --seeds at a time"
        )
