"""State dicts of TransformerLens 3's HookedTransformer, with its configuration as JSON where the defaults are not it.

Read from the configuration: act_fn (relu where not given), normalization_type (none), attention_dir (causal), and
seed. Everything else is read from the tensors' shapes.
"""

from typing import Any

from torch import Tensor

from train.errors import DataError, UsageError
from train.model import HookedTransformer

from ..transformerlens import from_transformer_lens
from .common import Given, Imported, Weights, add_split, biases, convert, need, snapshots_of
from .nanda import sizes

LAYOUTS = {2: "a b", 3: "a b =", 4: "a op b ="}
NORMS = {None: "none", "LN": "pre", "LNPre": "pre"}


def read(raw: Any, given: Given) -> Imported:
    """Rows are a b, a b = or a op b =, by the number of positions; tokens that are no element come last.

    Raises:
        UsageError: the configuration asks for what we do not have.
        DataError: the file is not of this layout.
    """
    snapshots = snapshots_of(raw, given)
    options = _options(given)
    made = convert(snapshots, lambda weights: _weights(weights, options))
    ours = next(iter(made.values()))
    n_ctx, d_vocab = ours["pos_embed.W_pos"].shape[0], ours["embed.W_E"].shape[0]
    if n_ctx not in LAYOUTS:
        raise UsageError(f"the model reads {n_ctx} tokens; allowed are 2 (a b), 3 (a b =) and 4 (a op b =)")
    task = {**given.task(p=d_vocab - (n_ctx - 2)), "layout": LAYOUTS[n_ctx]}
    d_out = ours["unembed.W_U"].shape[1]
    model = {
        **sizes(ours),
        "act_fn": options["act_fn"],
        "norm": NORMS[options["normalization_type"]],
        "attention": options["attention_dir"],
        "biases": biases(ours),
        "outputs": "tokens" if d_out == d_vocab else "answers",
    }
    return Imported({"task": task, "model": model}, made, add_split(task, given), given.notes())


def _options(given: Given) -> dict[str, Any]:
    defaults = {"act_fn": "relu", "normalization_type": None, "attention_dir": "causal"}
    allowed = {
        "act_fn": ("relu", "gelu"),
        "normalization_type": tuple(NORMS),
        "attention_dir": ("causal", "bidirectional"),
    }
    found = {name: given.config.get(name, value) for name, value in defaults.items()}
    for name, value in found.items():
        if value not in allowed[name]:
            raise UsageError(f"{name} = {value!r} cannot be imported; allowed are {', '.join(map(str, allowed[name]))}")
    return found


def _weights(weights: Weights, options: dict[str, Any]) -> dict[str, Tensor]:
    need(weights, "embed.W_E", 2)
    try:
        model = from_transformer_lens(weights, **options)
    except UsageError as error:
        raise DataError(str(error)) from error
    assert isinstance(model, HookedTransformer)
    return dict(model.state_dict())
