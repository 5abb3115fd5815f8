"""Interventions: ablate a part of a model, or patch in activations from elsewhere, and measure the effect.

Each ablation or patch is a list of (hook name, hook) for ``model.hooks``; ``effects`` turns such lists into a table.

>>> with snap.model.hooks(fwd_hooks=ablate_neurons([3, 17])):
...     snap.loss("test")
>>> effects(snap, {"head 1": ablate_heads([1]), "k = 5": ablate_frequencies(find_law(snap.task), [5])})
"""

from .ablate import ablate_frequencies, ablate_heads, ablate_neurons
from .effects import ablations, effects
from .hooks import Hooks
from .patch import answer_logit_difference, patch_from, patch_inputs

__all__ = [
    "Hooks",
    "ablate_frequencies",
    "ablate_heads",
    "ablate_neurons",
    "ablations",
    "answer_logit_difference",
    "effects",
    "patch_from",
    "patch_inputs",
]
