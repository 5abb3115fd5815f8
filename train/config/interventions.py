"""Every training intervention, with its flags and its source: ``python -m train.run --list-interventions``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Intervention:
    """A training intervention."""

    doc: str
    flags: tuple[str, ...]
    """Fields of the config; the first one switches the intervention on."""
    source: str
    test: str
    """Name of the function of tests/train/ that checks the intervention against a hand calculation."""


POWER = "Power et al. 2022 (2201.02177), A.1.2"
GROKFAST = "Lee et al. 2024 (2405.20233)"
PRIETO = "Prieto et al. 2025 (2501.04697)"

INTERVENTIONS: tuple[Intervention, ...] = (
    Intervention(
        "Adam with coupled (L2) weight decay",
        ("optimizer adam", "beta1", "beta2", "eps"),
        "Kingma and Ba 2015 (1412.6980), algorithm 1",
        "test_updates_are_the_formulas",
    ),
    Intervention(
        "AdamW: decoupled weight decay",
        ("optimizer adamw", "weight_decay"),
        "Loshchilov and Hutter 2019 (1711.05101), algorithm 2",
        "test_updates_are_the_formulas",
    ),
    Intervention(
        "SGD, with momentum and coupled weight decay",
        ("optimizer sgd", "momentum"),
        "Polyak 1964; as torch.optim.SGD",
        "test_sgd_is_pytorchs_and_the_formula",
    ),
    Intervention(
        "Muon on matrices, AdamW on the rest",
        ("optimizer muon", "muon_momentum"),
        "Jordan et al. 2024; Liu et al. 2025 (2502.16982), equation 4",
        "test_muon_is_pytorchs",
    ),
    Intervention("Weight decay to initial weights", ("decay_towards init",), POWER, "test_decay_to_initial_weights"),
    Intervention(
        "Minibatches; power: min(512, half of the training rows)",
        ("batch_size",),
        POWER,
        "test_every_epoch_covers_every_training_row_once",
    ),
    Intervention("Linear warm-up of the learning rate", ("warmup_steps",), POWER, "test_warm_up"),
    Intervention(
        "Half-cosine decay of the learning rate, over its own number of steps",
        ("decay_steps", "decay_to"),
        "Loshchilov and Hutter 2017 (1608.03983), equation 5",
        "test_decay",
    ),
    Intervention("Gaussian noise on updates", ("update_noise",), POWER, "test_update_noise"),
    Intervention("Gaussian noise on the weights, for the gradient only", ("weight_noise",), POWER, "test_weight_noise"),
    Intervention(
        "Residual dropout",
        ("dropout",),
        f"{POWER}; Vaswani et al. 2017 (1706.03762), section 5.4",
        "test_dropout_is_the_plain_model_with_masks",
    ),
    Intervention(
        "Grokfast-EMA",
        ("grokfast_alpha", "grokfast_lambda", "grokfast_from"),
        f"{GROKFAST}, algorithm 2",
        "test_grokfast",
    ),
    Intervention(
        "Grokfast-MA",
        ("grokfast_window", "grokfast_lambda", "grokfast_from"),
        GROKFAST,
        "test_grokfast_ma",
    ),
    Intervention("StableMax instead of softmax", ("loss stablemax",), PRIETO, "test_stablemax"),
    Intervention("Precision of the loss: 16, 32 or 64 bits", ("loss_precision",), PRIETO, "test_precision_of_the_loss"),
    Intervention("Orthogonal gradient", ("orthogonal_gradient",), f"{PRIETO}, section 5", "test_orthogonal_gradient"),
    Intervention(
        "Constant norm of the weights", ("norm_clamp",), "Liu et al. 2022 (2210.01117), section 2", "test_norm_clamp"
    ),
    Intervention("Scale of the initial weights", ("init_scale",), "Liu et al. 2022 (2210.01117)", "test_init_scale"),
    Intervention("Scale of the logits", ("output_scale",), "Kumar et al. 2023 (2310.06110)", "test_output_scale"),
    Intervention(
        "Activation function; square as in Gromov 2023",
        ("act_fn",),
        "Gromov 2023 (2301.02679)",
        "test_activations",
    ),
    Intervention(
        "Label noise: answers of k training rows replaced (outliers)",
        ("outliers",),
        "Power et al. 2022 (2201.02177), A.4",
        "test_outliers",
    ),
    Intervention(
        "Precision of the matrix products",
        ("precision",),
        "Kalamkar et al. 2019 (1905.12322), for bfloat16",
        "test_gradients_are_rounded_and_close",
    ),
)
"""Every intervention, in the order of the generated table."""


def flags_of(intervention: Intervention) -> list[str]:
    """The command-line flags of an intervention, such as ``--decay-towards init``."""
    return ["--" + flag.replace("_", "-") for flag in intervention.flags]
