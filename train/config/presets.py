"""Published set-ups by name, each with its source and its deviations from the source."""

from dataclasses import dataclass

from train.hints import nearest

from .model import ModelConfig
from .optim import OptimConfig
from .run import RunConfig, ScheduleConfig
from .task import TaskConfig


@dataclass(frozen=True)
class Preset:
    """A named configuration."""

    config: RunConfig
    doc: str
    """Description, in one line."""
    source: str
    """Paper or code that the preset reproduces, and deviations."""


_POWER_TASK = TaskConfig(op="div", p=97, train_frac=0.5, split="stream", layout="a op b =")
_POWER_MODEL = ModelConfig(n_layers=2, norm="post", positions="sinusoidal", biases="none", init="pytorch")
_POWER_SOURCE = (
    "Power et al. 2022 (2201.02177) A.1 and openai/grok; deviations: the vocabulary holds this task's tokens "
    "alone (theirs: 239 shared by all tasks), no end-of-sequence token is read or predicted"
)

PRESETS: dict[str, Preset] = {
    "nanda": Preset(
        RunConfig(),
        "p=113 addition, 1 layer, full batch; the default",
        "Nanda et al. 2023 (2301.05217), their transformers.py; budget 15,000 steps (theirs: --steps 40000)",
    ),
    "tl-demo": Preset(
        RunConfig(
            task=TaskConfig(split="torch", split_seed=598),
            model=ModelConfig(biases="none", outputs="answers", init="transformerlens"),
            optim=OptimConfig(warmup_steps=0),
            schedule=ScheduleConfig(steps=25_000),
            seed=999,
        ),
        "TransformerLens' Grokking_Demo: p=113 addition, frozen biases",
        "TransformerLens demos/Grokking_Demo.ipynb: init seed 999, split seed 598",
    ),
    "power": Preset(
        RunConfig(
            task=_POWER_TASK,
            model=_POWER_MODEL,
            optim=OptimConfig(batch_size=512),
            schedule=ScheduleConfig(steps=100_000),
        ),
        "division mod 97, 2 layers, post-LN, batches of 512, weight decay 1",
        _POWER_SOURCE,
    ),
    "power-fig1": Preset(
        RunConfig(
            task=_POWER_TASK,
            model=_POWER_MODEL,
            optim=OptimConfig(optimizer="adam", weight_decay=0.0, batch_size=512),
            schedule=ScheduleConfig(steps=1_000_000),
        ),
        "as power, with Adam, no weight decay and 10^6 steps (their Figure 1, left)",
        _POWER_SOURCE,
    ),
    "zhong": Preset(
        RunConfig(
            task=TaskConfig(p=59, train_frac=0.8, split="stream", layout="a b"),
            model=ModelConfig(attention="bidirectional", init="zhong"),
            optim=OptimConfig(weight_decay=2.0),
            schedule=ScheduleConfig(steps=20_000),
        ),
        "p=59 addition, bidirectional, no '='; --attn-rate 0 to 1 goes from Pizza to Clock",
        "Zhong et al. 2023 (2306.17844), their train-main.py; their split is not stored, so it is drawn anew",
    ),
    "s5": Preset(
        RunConfig(
            task=TaskConfig(op="compose", p=None, group="S5", train_frac=0.6, split="torch"),
            model=ModelConfig(biases="none", outputs="answers", init="transformerlens"),
            optim=OptimConfig(warmup_steps=0),
            schedule=ScheduleConfig(steps=50_000),
            seed=1,
        ),
        "composition in S5, 1 layer, full batch",
        "Chughtai et al. 2023 (2302.03025), rep-theory's transformer; deviation: elements in lexicographic order",
    ),
    "fast": Preset(
        RunConfig(
            task=TaskConfig(split="stream"),
            model=ModelConfig(n_heads=8, biases="none", outputs="answers", init="transformerlens"),
            optim=OptimConfig(
                lr=0.01,
                weight_decay=0.0,
                decay_steps=250,
                decay_to=0.03,
                orthogonal_gradient=True,
                norm_clamp=1.0,
            ),
            schedule=ScheduleConfig(steps=1_500),
        ),
        "p=113 addition in seconds: orthogonal gradients at a constant norm, a high learning rate that falls",
        "ours, settings chosen on seeds 300 to 303, 400 to 415 and 600 to 623 (tests/benchmarks/fast.py)",
    ),
    "quick": Preset(
        RunConfig(task=TaskConfig(p=53, train_frac=0.5, split="stream"), schedule=ScheduleConfig(steps=2_000)),
        "the default's architecture at a smaller p: groks in well under a minute",
        "ours, for tests, demos and impatient people",
    ),
}


def find_preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:
        ValueError: there is no such preset; the message suggests the nearest name.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}{nearest(name, PRESETS)}; allowed are {', '.join(PRESETS)}")
    return PRESETS[name]
