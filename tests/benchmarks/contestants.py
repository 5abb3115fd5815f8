"""One implementation of the optimiser step, in a process of its own: ``python contestants.py NAME PRESET``.

Reads numbers of steps from standard input; answers each with a line of JSON: seconds a step, peak memory.
Started by ``steps.py``, which interleaves the contestants.
"""

import contextlib
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

Step = Callable[[], Any]
HELD = contextlib.ExitStack()
"""Settings that last as long as the process."""
warnings.filterwarnings("ignore")


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy at the last position, log-softmax in float64, as in the Grokking_Demo."""
    logp = logits[:, -1].double().log_softmax(dim=-1)
    return -logp.gather(-1, labels[:, None]).mean()


def loop(model: torch.nn.Module, config: Any) -> Step:
    """The usual notebook loop: the whole model on every row, autograd, AdamW."""
    from train.tasks.batches import Batches
    from train.tasks.task import make_task

    task = make_task(config)
    batches, counter = Batches(task, config), iter(range(10**9))
    optim = config.optim
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay,
    )
    cached = {}
    if batches.is_full:
        cached["all"] = task.tokens[batches.rows], task.labels[batches.rows, 0]

    def step() -> None:
        rows = batches.at(next(counter))
        tokens, labels = cached["all"] if cached else (task.tokens[rows], task.labels[rows, 0])
        loss = loss_of(model(tokens), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def transformer_lens(config: Any) -> Step:
    """TransformerLens's own model: HookedTransformer under 3.9, boot_native's TransformerBridge under 4.

    It has no layer norm after the sum, so ``power`` runs with layer norm before the sublayers.
    """
    from interp.transformerlens import to_transformer_lens
    from train.config.settings import override
    from train.model import build_model

    if config.model.norm == "post":
        config = override(config, {"norm": "pre", "positions": "learned"})
    model = to_transformer_lens(build_model(config)).train()
    trained = {"mlp": ("b_in", "b_out"), "none": (), "all": None}[config.model.biases]
    for name, parameter in model.named_parameters():
        last = name.rpartition(".")[2]
        parameter.requires_grad_(trained is None or not last.startswith("b_") or last in trained)
    return loop(model, config)


def plain(config: Any) -> Step:
    """The plain forward pass of our HookedTransformer, trained by ``loop``."""
    from train.model import build_model

    return loop(build_model(config), config)


class Block(torch.nn.Module):
    """A post-norm block from PyTorch's parts, without biases."""

    def __init__(self, d_model: int, n_heads: int, d_mlp: int) -> None:
        super().__init__()
        self.attn = torch.nn.MultiheadAttention(d_model, n_heads, bias=False, batch_first=True)
        self.ln1, self.ln2 = torch.nn.LayerNorm(d_model), torch.nn.LayerNorm(d_model)
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(d_model, d_mlp, bias=False), torch.nn.ReLU(), torch.nn.Linear(d_mlp, d_model, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        x = self.ln1(x + self.attn(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0])
        return self.ln2(x + self.mlp(x))


class Straightforward(torch.nn.Module):
    """A direct PyTorch implementation of the model of Power et al."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        from train.model.components import sinusoids

        task, model = config.task, config.model
        self.embed = torch.nn.Embedding(task.d_vocab, model.d_model)
        self.register_buffer("positions", sinusoids(task.n_ctx, model.d_model))
        self.blocks = torch.nn.Sequential(
            *(Block(model.d_model, model.n_heads, model.mlp_width) for _ in range(model.n_layers))
        )
        self.unembed = torch.nn.Linear(model.d_model, config.d_vocab_out, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.unembed(self.blocks(self.embed(tokens) + self.positions))


def multihead(config: Any) -> Step:
    """A straightforward PyTorch model with nn.MultiheadAttention."""
    return loop(Straightforward(config), config)


def engine(config: Any) -> Step:
    """The training engine of this package."""
    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    threads = HELD.enter_context(one_thread_each())
    return Stack([config], torch.device("cpu"), threads).update


def floor(config: Any) -> Step:
    """The bare matrix products of a step, in PyTorch on all its threads."""
    import products

    return products.in_torch(products.of_step(config))


def floor_numpy(config: Any) -> Step:
    """The bare matrix products of a step by numpy's BLAS, on two threads that split the rows."""
    import products

    return products.in_numpy(products.of_step(config), torch.get_num_threads())


CONTESTANTS: dict[str, Callable[[Any], Step]] = {
    "tl39": transformer_lens,
    "tl4": transformer_lens,
    "mha": multihead,
    "plain": plain,
    "engine": engine,
    "floor": floor,
    "floor-numpy": floor_numpy,
}


WARM_S = 0.2
"""Seconds of steps before those that count: a training run's caches and clock are warm."""


def main() -> None:
    """Time steps as standard input asks, until standard input ends."""
    from train.config.presets import find_preset

    step = CONTESTANTS[sys.argv[1]](find_preset(sys.argv[2]).config)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        time.sleep(0.1)  # the one before may still be spinning
        warm = time.perf_counter() + WARM_S
        while time.perf_counter() < warm:
            step()
        started = time.perf_counter()
        for _ in range(count):
            step()
        seconds = (time.perf_counter() - started) / count
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb}), flush=True)
    HELD.close()


if __name__ == "__main__":
    main()
