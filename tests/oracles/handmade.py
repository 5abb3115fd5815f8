"""A model with weights set by formula, and a run of such models, whose answers are known exactly.

For key frequencies k (w = 2 pi k / p): W_E holds cos(wa) and sin(wa); zero W_Q and W_K make attention
average a, b and "="; for each phase f on a grid of [0, pi) the neurons relu(+-(cos(wa + f) + cos(wb + f)))
sum to its absolute value, in which the term cos(w(a+b) + 2f) stands beside terms of other frequencies in
a - b; the readout puts cos(wc + 2f) on each, and the sum over f keeps cos(w(a + b - c)) and aliases of it
that vanish as the grid is refined. With 16 phases one key frequency answers every pair; with 3 it cannot.
Each key has four dimensions of the residual stream: cos and sin of the inputs, and cos and sin of the output,
so that the skip connection carries nothing to the logits.
"""

import dataclasses
import math
from pathlib import Path

import torch

N_HEADS = 4


def handmade_config(p: int, keys: list[int], n_phases: int = 16):
    """Configuration of a model just large enough: 4 dimensions a key, 2 neurons a phase and key."""
    from train.config.model import ModelConfig
    from train.config.optim import OptimConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig

    return RunConfig(
        task=TaskConfig(p=p, train_frac=0.3, split="stream"),
        model=ModelConfig(
            d_model=4 * len(keys),
            n_heads=N_HEADS,
            d_mlp=2 * n_phases * len(keys),
            biases="mlp",
            outputs="answers",
        ),
        optim=OptimConfig(),
        schedule=ScheduleConfig(steps=1000),
    )


def handmade_weights(p: int, keys: list[int], n_phases: int = 16) -> dict[str, torch.Tensor]:
    """The weights, float64, by TransformerLens name."""
    from train.model import build_model

    config = handmade_config(p, keys, n_phases)
    weights = {name: torch.zeros_like(t, dtype=torch.float64) for name, t in build_model(config).state_dict().items()}
    d_head = config.model.head_width
    x = torch.arange(p, dtype=torch.float64)
    for i, k in enumerate(keys):
        angle = 2 * math.pi * ((k * x) % p) / p
        weights["embed.W_E"][:p, 4 * i] = angle.cos()
        weights["embed.W_E"][:p, 4 * i + 1] = angle.sin()
    for head in range(N_HEADS):  # V and O pass every dimension through, three times as large: the mean becomes a sum
        for j in range(d_head):
            weights["blocks.0.attn.W_V"][head, head * d_head + j, j] = 3.0
            weights["blocks.0.attn.W_O"][head, j, head * d_head + j] = 1.0
    neuron = 0
    for i, k in enumerate(keys):
        angle = 2 * math.pi * ((k * x) % p) / p
        weights["unembed.W_U"][4 * i + 2] = angle.cos()
        weights["unembed.W_U"][4 * i + 3] = angle.sin()
        for phase in range(n_phases):
            f = math.pi * phase / n_phases
            for sign in (1, -1):
                weights["blocks.0.mlp.W_in"][4 * i, neuron] = sign * math.cos(f)
                weights["blocks.0.mlp.W_in"][4 * i + 1, neuron] = -sign * math.sin(f)
                weights["blocks.0.mlp.W_out"][neuron, 4 * i + 2] = math.cos(2 * f)
                weights["blocks.0.mlp.W_out"][neuron, 4 * i + 3] = -math.sin(2 * f)
                neuron += 1
    return weights


def handmade_model(p: int, keys: list[int], n_phases: int = 16):
    """The model in float64, in eval mode."""
    from train.model import build_model

    model = build_model(handmade_config(p, keys, n_phases)).double()
    model.load_state_dict(handmade_weights(p, keys, n_phases))
    return model.eval()


def handmade_run(
    root: Path, p: int = 23, keys: tuple[int, ...] = (3, 5, 9), scales=(0.0, 0.1, 1.0, 10.0, 100.0)
) -> Path:
    """A run on disk whose snapshots, at steps 0, 10, 100, ..., are the hand-made model at growing output scale.

    At scale 0 every logit is 0: the loss is log p. Losses and accuracies in the log are computed here, from the
    closed form of the logits, not by the package.
    """
    from train.storage.store import RunStore
    from train.tasks.task import make_task

    config = handmade_config(p, list(keys))
    config = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, steps=10 ** (len(scales) - 1)))
    store = RunStore.create(root, config)
    task = make_task(config)
    weights = handmade_weights(p, list(keys))
    logits = handmade_logits(p, list(keys))
    rows = []
    for i, scale in enumerate(scales):
        step = 0 if i == 0 else 10**i
        scaled = {n: (t * scale if n == "unembed.W_U" else t).float() for n, t in weights.items()}
        store.save_snapshot(step, scaled)
        logp = (scale * logits).log_softmax(-1)
        right = (scale * logits).argmax(-1) == task.labels[:, 0]
        loss = -logp.gather(1, task.labels)[:, 0]
        train = task.is_train
        assert train is not None
        rows.append(
            {
                "step": step,
                "train_loss": float(loss[train].mean()),
                "test_loss": float(loss[~train].mean()),
                "train_acc": float(right[train].double().mean()),
                "test_acc": float(right[~train].double().mean()),
                "wall_s": float(i),
            }
        )
    store.append_log(rows)
    session = {
        "command": "handmade",
        "device": "cpu",
        "threads": 1,
        "cpu": "none",
        "versions": {},
        "git": None,
    }
    store.add_session(config, session)
    store.mark_done(rows[-1]["step"])
    return store.path


def handmade_logits(p: int, keys: list[int], n_phases: int = 16) -> torch.Tensor:
    """Logits [p*p, p] in closed form: sum over keys and phases of |cos(wa+f) + cos(wb+f)| cos(wc + 2f)."""
    a = torch.arange(p, dtype=torch.float64).repeat_interleave(p)[:, None]
    b = torch.arange(p, dtype=torch.float64).repeat(p)[:, None]
    c = torch.arange(p, dtype=torch.float64)[None]
    total = torch.zeros(p * p, p, dtype=torch.float64)
    for k in keys:
        w = 2 * math.pi * k / p
        for phase in range(n_phases):
            f = math.pi * phase / n_phases
            total += (torch.cos(w * a + f) + torch.cos(w * b + f)).abs() * torch.cos(w * c + 2 * f)
    return total
