"""How the page was computed: a paragraph for a paper, from the run's own data, with citations."""

from interp.html.blocks import Block, Text
from interp.html.numbers import percent
from interp.measures.frequencies import FVE
from interp.parts.irreps import has_irreps
from interp.parts.keyfreqs import KEY_SHARE
from interp.parts.memo import Unavailable
from interp.parts.rows import has_law
from interp.parts.structure import find_cycle
from interp.runs.run import Run
from interp.story.claims import listed
from interp.story.transition import LEARNED
from interp.story.words import operation_words
from train.storage.provenance import versions

NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"
CHUGHTAI = "[Chughtai et al. 2023](https://arxiv.org/abs/2302.03025)"
ZHONG = "[Zhong et al. 2023](https://arxiv.org/abs/2306.17844)"
POWER = "[Power et al. 2022](https://arxiv.org/abs/2201.02177)"


def build(run: Run) -> list[Block]:
    """Two paragraphs: the model with its training, and the analysis."""
    return [Text(f"{_training(run)}\n\n{_analysis(run)}")]


def _training(run: Run) -> str:
    """The model, its task and its training, as far as they are known."""
    config, knows, task = run.config, run.origin.knows, run.task
    model, n_rows = config.model, len(task.rows("all"))
    kind = (
        "multilayer perceptron"
        if model.arch == "mlp"
        else "transformer without MLPs"
        if model.attn_only
        else "transformer"
    )
    sizes = [f"width {model.d_model}"]
    sizes += [f"{model.n_heads} heads a layer"] if model.arch != "mlp" else []
    sizes += [f"{run.last.model.cfg.d_mlp} neurons a layer"] if not model.attn_only else []
    layers = f"{model.n_layers} layer{'s' * (model.n_layers > 1)}"
    n_parameters = sum(tensor.numel() for tensor in run.weights(run.steps[-1]).values())
    text = f"A {kind} of {layers} ({listed(sizes)}; {n_parameters:,} parameters) was trained on {operation_words(run)}"
    if task.is_train is not None:
        text += f", on {len(task.rows('train')):,} of its {n_rows:,} defined pairs"
    else:
        text += f", on an unknown part of its {n_rows:,} defined pairs"
    if knows("optim"):
        rows = config.batch_rows
        text += (
            f", with {config.optim.label} on {'all training pairs at once' if rows is None else f'batches of {rows:,}'}"
        )
    text += f" (seed {config.seed})" if knows("seed") else ""
    snapshots = "1 snapshot" if len(run.steps) == 1 else f"{len(run.steps):,} snapshots"
    text += f". {snapshots.capitalize()} of the weights were analysed"
    if knows("step"):
        text += f", up to step {run.steps[-1]:,}"
    if len(run.evaluations):
        text += f", beside {len(run.evaluations):,} evaluations in the log"
    return f"{text}. Everything was computed with groklens {versions()['groklens']}."


def _analysis(run: Run) -> str:
    """What was computed and after whom, for what this page shows."""
    parts = [
        f"Losses are mean cross-entropies in nats, their log-softmax in float64 ({NANDA}). A crossing of {LEARNED} "
        "accuracy is given as the two evaluations on either side of it."
    ]
    if not isinstance(find_cycle(run.task), Unavailable):
        parts.append(
            f"Spectra are shares of the squared norm in the orthonormal real Fourier basis over the cycle ({NANDA})."
        )
    elif has_irreps(run):
        parts.append(
            "Irreps take the place of frequencies: shares of the squared norm in their matrix coefficients "
            f"({CHUGHTAI})."
        )
    if has_law(run):
        parts.append(
            f"Key frequencies hold at least {percent(KEY_SHARE, 0)} of the energy of the last snapshot's logits, "
            f"centred over the answers, along cos w(a+b-c) ({CHUGHTAI}). Restricted losses keep the key frequencies "
            f"alone, excluded losses remove them ({NANDA}); both are compared with random sets of as many other "
            f"frequencies. A neuron follows a frequency that explains more than {percent(FVE, 0)} of its variance "
            f"({NANDA}). Clock and pizza are told apart by gradient symmetricity, distance irrelevance and "
            f"circularity ({ZHONG}), with thresholds of our own."
        )
    if run.task.table is not None:
        parts.append(
            f"Maps of the output layer's rows after {POWER}: principal components, t-SNE (van der Maaten and Hinton "
            "2008) and UMAP ([McInnes et al. 2018](https://arxiv.org/abs/1802.03426)). Ablations replace activations "
            "by zero or by their mean over all pairs."
        )
    return " ".join(parts)
