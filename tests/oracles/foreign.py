"""Small random models in the layouts that others save; ``python tests/oracles/foreign.py`` writes them.

Values come from Python's own generator, which gives the same numbers everywhere. No two sizes of a model are
equal where their layout allows it, so that a matrix read the wrong way round does not fit.
"""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent.parent / "fixtures" / "importers"
P, D_MODEL, HEADS, D_HEAD, D_MLP = 5, 4, 2, 3, 6
GROK_OPERATORS = (
    "(x._value//y)if(y._value%2==1)else(x-y)_mod_97 * **2+ **3+ + +* +- - / copy reverse s5 s5aba s5conj sort "
    "x**2+y**2+x*y+x_mod_97 x**2+y**2+x*y_mod_97 x**2+y**2_mod_97 x**3+x*y**2+y_mod_97 x**3+x*y_mod_97"
).split()
GROK_TOKENS = [
    *("<|eos|>", "="),
    *GROK_OPERATORS,
    *map(str, range(97)),
    *("".join(map(str, each)) for each in itertools.permutations(range(5))),
]


class Draw:
    """A function that draws tensors of standard normal numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __call__(self, *shape: int) -> torch.Tensor:
        n = torch.Size(shape).numel()
        return torch.tensor([self.random.gauss(0, 0.7) for _ in range(n)], dtype=torch.float32).view(shape)


def nanda(seed: int, d_vocab: int = P + 1, n_ctx: int = 3, n_layers: int = 1, d_vocab_out: int | None = None) -> Any:
    """State dict of the transformer of Nanda et al. and pizza."""
    draw = Draw(seed)
    found = {"embed.W_E": draw(D_MODEL, d_vocab), "pos_embed.W_pos": draw(n_ctx, D_MODEL)}
    for i in range(n_layers):
        found |= {f"blocks.{i}.attn.W_{x}": draw(HEADS, D_HEAD, D_MODEL) for x in "KQV"}
        found[f"blocks.{i}.attn.W_O"] = draw(D_MODEL, HEADS * D_HEAD)
        found[f"blocks.{i}.attn.mask"] = torch.ones(n_ctx, n_ctx).tril()
        found |= {f"blocks.{i}.mlp.W_in": draw(D_MLP, D_MODEL), f"blocks.{i}.mlp.b_in": draw(D_MLP)}
        found |= {f"blocks.{i}.mlp.W_out": draw(D_MODEL, D_MLP), f"blocks.{i}.mlp.b_out": draw(D_MODEL)}
    return found | {"unembed.W_U": draw(D_MODEL, d_vocab_out or d_vocab)}


def linear(kind: str, seed: int, d: int = 6) -> Any:
    """State dict of one of pizza's linear models."""
    draw = Draw(seed)
    names = ["embed1", "embed2"] if kind == "X" else ["embed"]
    found = {f"{name}.weight": draw(P, d // 2 if kind == "D" else d) for name in names}
    found |= {"unembed.weight": draw(P, d), "l1.weight": draw(d, d), "l1.bias": draw(d)}
    return found | ({"l2.weight": draw(d, d), "l2.bias": draw(d)} if kind in "BC" else {})


def linearformer(seed: int, d: int = 7, n_layers: int = 2) -> Any:
    """State dict of pizza's model without attention; with an odd d_model its input is padded."""
    draw = Draw(seed)
    found = {"embed.W_E": draw(d // 2, 2 * P), "unembed.W_U": draw(d, 2 * P)}
    for i in range(n_layers):
        found |= {f"blocks.{i}.W_in": draw(d, d), f"blocks.{i}.b_in": draw(d)}
    return found


def transformerlens(
    seed: int, d_vocab: int, d_vocab_out: int, n_layers: int = 1, n_ctx: int = 3, with_biases: bool = True
) -> Any:
    """State dict of a HookedTransformer, with the buffers of version 3."""
    draw = Draw(seed)

    def bias(*shape: int) -> torch.Tensor:
        return draw(*shape) if with_biases else torch.zeros(shape)

    found = {"embed.W_E": draw(d_vocab, D_MODEL), "pos_embed.W_pos": draw(n_ctx, D_MODEL)}
    for i in range(n_layers):
        attn, mlp = f"blocks.{i}.attn.", f"blocks.{i}.mlp."
        found |= {f"{attn}W_{x}": draw(HEADS, D_MODEL, D_HEAD) for x in "QKV"}
        found |= {f"{attn}W_O": draw(HEADS, D_HEAD, D_MODEL), f"{attn}b_O": bias(D_MODEL)}
        found |= {f"{attn}b_{x}": bias(HEADS, D_HEAD) for x in "QKV"}
        found |= {f"{attn}mask": torch.ones(n_ctx, n_ctx).tril().bool(), f"{attn}IGNORE": torch.tensor(-1e5)}
        found |= {f"{mlp}W_in": draw(D_MODEL, D_MLP), f"{mlp}b_in": bias(D_MLP)}
        found |= {f"{mlp}W_out": draw(D_MLP, D_MODEL), f"{mlp}b_out": bias(D_MODEL)}
    return found | {"unembed.W_U": draw(D_MODEL, d_vocab_out), "unembed.b_U": bias(d_vocab_out)}


def with_norms(found: Any, seed: int, n_layers: int) -> Any:
    """State dict of a HookedTransformer with layer norms before each sublayer and at the end."""
    draw = Draw(seed)
    names = [f"blocks.{i}.{ln}" for i in range(n_layers) for ln in ("ln1", "ln2")] + ["ln_final"]
    return found | {f"{name}.{x}": draw(D_MODEL) for name in names for x in "wb"}


def reptheory(seed: int, n: int) -> Any:
    """State dict of rep-theory's transformer on a group of n elements."""
    found = transformerlens(seed, n + 1, n, with_biases=False)
    return {"x_embed": found["embed.W_E"], "y_embed": found["embed.W_E"], **found}


def one_layer_mlp(seed: int, n: int, d_embed: int = 3, d_hidden: int = 5) -> Any:
    """State dict of rep-theory's MLP."""
    draw = Draw(seed)
    found = {"W_x": draw(n, d_embed), "W_y": draw(n, d_embed), "W": draw(2 * d_embed, d_hidden)}
    return found | {"W_U": draw(d_hidden, n)}


def grok(seed: int, n_layers: int = 2, max_context_len: int = 7) -> Any:
    """Checkpoint of openai/grok's transformer."""
    draw, d_model, n_tokens = Draw(seed), HEADS * D_HEAD, len(GROK_TOKENS)
    angles = [[pos / 10000 ** ((i - i % 2) / d_model) for i in range(d_model)] for pos in range(max_context_len)]
    tables = torch.tensor(angles).sin(), torch.tensor(angles).cos()
    found = {
        "embedding.weight": draw(n_tokens, d_model),
        "position_encoding": torch.where(torch.arange(d_model) % 2 == 0, *tables),
        "self_attn_mask": torch.ones(max_context_len, max_context_len).tril(),
    }
    for i in range(n_layers):
        at = f"decoder.blocks.{i}."
        found |= {
            f"{at}self_attn.attn_heads.{h}.W{x}.weight": draw(D_HEAD, d_model) for h in range(HEADS) for x in "qkv"
        }
        found |= {f"{at}self_attn.Wo.weight": draw(d_model, d_model)}
        found |= {f"{at}{name}_norm.{x}": draw(d_model) for name in ("self_attn", "ffn") for x in ("weight", "bias")}
        found |= {f"{at}ffn.ffn.0.weight": draw(9, d_model), f"{at}ffn.ffn.2.weight": draw(d_model, 9)}
    return {f"transformer.{name}": t for name, t in (found | {"linear.weight": draw(n_tokens, d_model)}).items()}


def pizza_config(**fields: Any) -> dict[str, Any]:
    """Contents of pizza's config files, including the lambda and the misspelt "casual"."""
    text = f"lambda x: (x[0]+x[1])%{P}"
    common = {"name": f"modadd_{P}", "funcs": text, "C": P, "attention_dir": "casual", "act_fn": "ReLU", "frac": 0.8}
    return common | {"diff_vocab": 0, "eqn_sign": 0, "attn_coeff": 0, "func": None, "weight_decay": 2.0} | fields


def reptheory_config(group: str, n: int, **fields: Any) -> dict[str, Any]:
    """Contents of rep-theory's config files."""
    common = {"lr": 0.001, "model": "Transformer", "group": group, "group_parameter": n, "frac_train": 0.6, "seed": 3}
    return common | {"num_epochs": 50000, "layers": {"embed_dim": 256, "hidden_dim": 128}} | fields


def files() -> dict[str, tuple[Any, dict[str, Any] | None]]:
    """Contents of every fixture and of the JSON file beside it."""
    tl = {"act_fn": "gelu", "normalization_type": "LN", "attention_dir": "causal", "d_model": D_MODEL, "seed": 7}
    demo = {"act_fn": "relu", "normalization_type": None, "attention_dir": "causal"}
    answers = [transformerlens(seed, P + 1, P, with_biases=False) for seed in (41, 42)]
    series = {"state_dicts": [nanda(seed) for seed in (11, 12, 13)], "epochs": [0, 100, 200]}
    told = {"p": P, "fn_name": "subtract", "frac_train": 0.3, "seed": 2, "act_type": "ReLU"}
    mlp = reptheory_config("SymmetricGroup", 4, model="OneLayerMLP", seed=0)
    rows = torch.tensor([3, 0, 24, 7, 11])
    saved = {"model": answers[1], "checkpoints": answers, "checkpoint_epochs": [99, 199], "train_indices": rows}
    return {
        "nanda.pth": ({"model": nanda(1), "epoch": 4999, "train_losses": [1.0, 0.5]}, None),
        "nanda_answers.pt": (nanda(2, n_layers=2, d_vocab_out=P), None),
        "nanda_series.pth": ({**series, "config": told}, None),
        "pizza.pt": (nanda(3, P, 2, 2), pizza_config(attn_coeff=0.3, act_fn="GeLU", n_layers=2)),
        "pizza_two.pt": (nanda(4, 2 * P + 1), pizza_config(attn_coeff=1, diff_vocab=1, eqn_sign=1)),
        **{f"pizza_{k}.pt": (linear(k, 20 + i), {"C": P, "model_type": k, "frac": 0.8}) for i, k in enumerate("ABCDX")},
        "pizza_linearformer.pt": (linearformer(5), pizza_config(use_linear=True, diff_vocab=1)),
        "reptheory_S4.pt": (reptheory(6, 24), reptheory_config("SymmetricGroup", 4)),
        "reptheory_D3.pt": (reptheory(7, 6), reptheory_config("DihedralGroup", 3)),
        "reptheory_C5.pt": (reptheory(8, 5), reptheory_config("CyclicGroup", 5)),
        "reptheory_mlp.pt": (one_layer_mlp(9, 24), mlp),
        "transformerlens.pt": (with_norms(transformerlens(10, P + 1, P + 1, 2), 14, 2), tl),
        "transformerlens_demo.pth": (saved, demo),
        "grok.pt": ({"state_dict": grok(15), "global_step": 512}, {"math_operator": "/", "train_data_pct": 50}),
    }


def write(folder: Path) -> None:
    """Write every fixture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, told) in files().items():
        torch.save(content, folder / name)
        if told is not None:
            (folder / name).with_suffix(".json").write_text(json.dumps(told))


if __name__ == "__main__":
    write(HERE)
