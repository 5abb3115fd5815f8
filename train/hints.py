"""Suggestions for unknown names ("did you mean ..."): synonyms from other programs, else the closest spelling."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

SETTINGS: dict[str, tuple[str, ...]] = {
    "op": ("operation", "operator", "task", "fn", "fn_name", "func", "function"),
    "p": ("modulus", "mod", "prime", "n_tokens", "num_tokens", "n", "m", "modulo"),
    "group": ("group_name", "group_type"),
    "train_frac": (
        *("frac", "fraction", "frac_train", "train_fraction", "training_fraction", "train_split", "train_size"),
        *("train_pct", "train_percentage", "train_data_pct", "alpha_data", "data_fraction"),
    ),
    "split_seed": ("data_seed", "seed_split"),
    "outliers": ("label_noise", "corrupt", "corruption", "noise_labels"),
    "arch": ("architecture", "model", "model_type"),
    "n_layers": ("layers", "num_layers", "n_layer", "depth", "n_blocks", "num_blocks"),
    "d_model": ("width", "dim", "dim_model", "model_dim", "d_embed", "embed_dim", "n_embd", "embedding_dim", "d"),
    "n_heads": ("heads", "num_heads", "n_head", "attention_heads"),
    "d_head": ("head_dim", "dim_head", "d_k", "head_size"),
    "d_mlp": ("hidden", "d_ff", "ffn", "d_hidden", "hidden_dim", "hidden_size", "mlp_dim", "mlp_width", "n_hidden"),
    "act_fn": ("activation", "act", "act_type", "nonlinearity"),
    "norm": ("normalization", "norm_type", "layernorm", "layer_norm", "use_ln", "normalization_type"),
    "positions": ("pos", "pos_embed", "positional", "positional_embedding", "position_embedding"),
    "attention": ("mask", "causal", "attention_dir"),
    "biases": ("bias", "use_bias"),
    "init": ("init_mode", "initialization"),
    "optimizer": ("opt", "optim", "optimiser"),
    "lr": ("learning_rate", "learningrate", "max_lr", "step_size", "eta", "alpha"),
    "weight_decay": ("wd", "decay", "weightdecay", "l2", "lambda_l2", "lamb"),
    "beta1": ("betas", "adam_beta1", "b1"),
    "beta2": ("adam_beta2", "b2"),
    "eps": ("epsilon", "adam_eps"),
    "warmup_steps": ("warmup", "warm_up", "lr_warmup", "num_warmup_steps"),
    "decay_steps": ("lr_decay", "cosine", "scheduler", "lr_scheduler", "lr_schedule"),
    "batch_size": ("batch", "batchsize", "bs", "minibatch", "mini_batch", "micro_batch_size"),
    "precision": ("dtype", "amp", "fp16", "bf16", "mixed_precision", "float_precision"),
    "loss": ("criterion", "loss_fn"),
    "grokfast_alpha": ("grokfast", "grokfast_ema"),
    "grokfast_lambda": ("grokfast_lamb", "lamb_grokfast"),
    "eta": ("learning_rate", "learningrate", "lr", "step_size"),
    "steps": (
        *("epochs", "n_steps", "num_steps", "n_epochs", "num_epochs", "epoch", "iterations", "iters", "n_iters"),
        *("max_steps", "max_iters", "optimization_steps", "train_steps", "total_steps", "max_epochs", "num_iterations"),
    ),
    "per_decade": ("save_every", "checkpoint_every", "ckpt_every", "save_models", "save_interval", "eval_every"),
    "seed": ("random_seed", "rng_seed", "manual_seed"),
    "seeds": ("n_seeds", "num_seeds", "runs"),
    "out": ("output", "output_dir", "outdir", "out_dir", "dir", "save_dir", "logdir", "log_dir", "checkpoint_dir"),
    "device": ("gpu", "cuda", "accelerator", "use_cuda", "gpus"),
    "threads": ("num_threads", "n_threads", "cpus", "cores", "n_cpus", "num_workers"),
    "quiet": ("silent", "q"),
    "config": ("config_file", "cfg", "config_path", "c", "yaml", "toml"),
    "only": ("sections", "section", "measures", "measure"),
    "key_freqs": ("key_freq", "frequencies", "freqs", "key_frequencies"),
    "step": ("checkpoint", "snapshot", "epoch_number"),
    "workers": ("jobs", "j", "n_jobs", "num_workers", "processes"),
    "dry_run": ("dry", "plan", "preview"),
}
"""Synonyms used by other programs, by our setting or flag."""
REMARKS = {
    "epochs": "updates; with all training rows in a batch, as by default, an epoch is one update",
    "hidden": "the hidden layer; the residual stream's width is d_model",
    "width": "the residual stream; the hidden layer's width is d_mlp",
    "save_every": "snapshots per factor of ten in steps",
    "label_noise": "a number of rows",
    "betas": "and beta2",
}
"""Remarks appended to the suggestion for some synonyms of ``SETTINGS``."""
REMARKS |= dict.fromkeys(("n_epochs", "num_epochs", "epoch", "max_epochs"), REMARKS["epochs"])

OPERATIONS: dict[str, tuple[str, ...]] = {
    "add": ("+", "plus", "addition", "sum", "modadd", "modular_addition", "add_mod", "x+y", "a+b"),
    "sub": ("-", "−", "minus", "subtract", "subtraction", "difference", "x-y", "a-b"),
    "mul": ("*", "×", "·", "x", "times", "multiply", "multiplication", "product", "prod", "mult", "x*y", "a*b"),
    "div": ("/", "÷", ":", "divide", "division", "quotient", "divided_by", "x/y", "a/b"),
    "x2_y2": ("x^2+y^2", "a^2+b^2", "x**2+y**2", "sum_of_squares"),
    "x3_xy": ("x^3+xy", "a^3+ab", "x**3+x*y"),
    "compose": ("composition", "permutation", "permutations", "s5", "group", "∘", "@"),
}
"""Symbols and synonyms of operations, by operation."""
DEVICES: dict[str, tuple[str, ...]] = {
    "cuda": ("gpu", "nvidia", "rocm", "hip", "gpu:0"),
    "cpu": ("host", "processor"),
}
"""Synonyms of devices, by device."""


LONGEST = 200
"""Names are compared up to this number of characters."""


def nearest(name: str, known: Iterable[str], words: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> str:
    """The phrase "; did you mean 'x'?" with the name that ``meant`` returns, or an empty string."""
    ours, remark = meant(name, known, words)
    return "" if ours is None else f"; did you mean {ours!r}?{remark}"


def meant(name: str, known: Iterable[str], words: Mapping[str, tuple[str, ...]]) -> tuple[str | None, str]:
    """The known name that ``words`` lists ``name`` as a synonym of, else the closest spelling, if any; and a remark."""
    names, spellings = list(known), _spellings(name)
    for ours, theirs in ((name, words.get(name, ())) for name in names):
        if words and not spellings.isdisjoint((ours, *theirs)):
            remark = next((REMARKS[word] for word in sorted(spellings) if word in REMARKS), "")
            return ours, f" ({remark})" if remark and words is SETTINGS else ""
    near = difflib.get_close_matches(name[:LONGEST], names, n=1, cutoff=0.3)
    return (near[0], "") if near else (None, "")


def _spellings(name: str) -> set[str]:
    """A name in lower case without spaces, with and without a flag's dashes."""
    text = name[:LONGEST].lower().replace(" ", "")
    return {text, text.lstrip("-").replace("-", "_")}
