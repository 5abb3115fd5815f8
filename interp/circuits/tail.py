"""The end of a forward pass: what follows one hook of the last layer, without running anything before it.

An ablation in the last layer changes nothing that precedes it, and the loss reads nothing but the answers. So the
activations are computed once a snapshot, at the answers alone, and each ablation computes only what follows its hook.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.parts.validity import FORWARD, NOT_OF_A_FORWARD
from interp.runs.snapshot import Snapshot
from train.config.knows import Knows, unknown
from train.model import HookedTransformer
from train.passes.frugal import KNOWS as OF_THE_PASSES

from .hooks import Hooks

KNOWS: Knows = {**OF_THE_PASSES, "model.arch": {"transformer"}}
"""Settings of the model and of the task for which ``Tail`` is written."""
ROWS = 2048
"""Rows per forward pass, so few that a pass's activations stay in the processor's cache."""
Part = Float[Tensor, "rows n_answers ..."]
Logits = Float[Tensor, "rows n_answers d_vocab_out"]


class Tail:
    """Activations of a transformer's last layer at the answers of all rows, and the logits that follow from them."""

    @torch.no_grad()
    def __init__(self, snap: Snapshot, model: HookedTransformer) -> None:
        """Run the model once, without hooks."""
        self._model, self._block = model, _block(model)
        name = f"blocks.{model.cfg.n_layers - 1}"
        self._pre, self._mid = f"{name}.hook_resid_pre", f"{name}.hook_resid_mid"
        self._then: dict[str, Callable[[Part, Tensor], Logits]] = {
            f"{name}.attn.hook_z": self._after_heads,
            "unembed.hook_out": lambda logits, rows: logits,
        }
        kept = [*self._then, self._pre]
        if not model.cfg.attn_only:
            self._then[f"{name}.mlp.hook_post"] = self._after_neurons
            kept += [f"{name}.mlp.hook_post", self._mid]
        positions, pieces = list(snap.task.answer_positions), []
        for tokens in snap.task.tokens.split(ROWS):
            cache = model.run_with_cache(tokens, names_filter=kept, return_cache_object=False)[1]
            pieces.append({name: cache[name][:, positions] for name in kept})
        self._kept = {name: torch.cat([piece[name] for piece in pieces]) for name in kept}

    def serves(self, hooks: Hooks) -> bool:
        """Whether ``hooks`` are at most one hook, of the last layer's heads or neurons or of the logits."""
        return not hooks or (len(hooks) == 1 and hooks[0][0] in self._then)

    @torch.no_grad()
    def logits(self, hooks: Hooks, rows: Int[Tensor, " chosen"]) -> Float[Tensor, "chosen n_answers d_vocab_out"]:
        """Logits of some rows at the answers, under hooks that this object ``serves``.

        Hooks see all rows, and of the positions the answers'. They must act on each position alone, as ablations do.
        """
        if not hooks:
            return self._kept["unembed.hook_out"].index_select(0, rows)
        [(name, hook)] = hooks
        changed = hook(self._kept[name], hook=self._model.hook_dict[name])
        return self._then[name](changed.index_select(0, rows), rows)

    def _after_heads(self, z: Part, rows: Tensor) -> Logits:
        W_O, block = self._block.attn.W_O, self._block
        attn_out = z.flatten(-2) @ W_O.flatten(0, 1) + block.attn.b_O
        resid = self._after(block.ln1, self._kept[self._pre].index_select(0, rows) + attn_out)
        if self._model.cfg.attn_only:
            return self._unembed(resid)
        mlp_in = resid if self._is_post_norm else block.ln2(resid)
        return self._unembed(self._after(block.ln2, resid + block.mlp(mlp_in)))

    def _after_neurons(self, post: Part, rows: Tensor) -> Logits:
        mlp_out = post @ self._block.mlp.W_out + self._block.mlp.b_out
        return self._unembed(self._after(self._block.ln2, self._kept[self._mid].index_select(0, rows) + mlp_out))

    @property
    def _is_post_norm(self) -> bool:
        return self._model.cfg.normalization_type == "LNPost"

    def _after(self, norm: torch.nn.Module, resid: Tensor) -> Tensor:
        """A residual sum: normed in a post-norm model."""
        return norm(resid) if self._is_post_norm else resid

    def _unembed(self, resid: Tensor) -> Logits:
        return self._model.unembed(self._model.ln_final(resid))


def _block(model: HookedTransformer) -> Any:
    """The last block, a module whose parts pyright does not know."""
    return model.blocks[-1]


def tail_of(snap: Snapshot) -> Tail | None:
    """The tail of a snapshot; None for a model that ``Tail`` is not written for, or that has hooks of the caller's."""
    model = snap.model
    if not isinstance(model, HookedTransformer) or any(point.fwd_hooks for point in model.hook_points()):
        return None
    return Tail(snap, model) if unknown(KNOWS, snap.run.config, FORWARD, NOT_OF_A_FORWARD) is None else None
