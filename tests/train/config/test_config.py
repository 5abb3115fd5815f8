"""Configurations: identity, JSON, overriding by flat names, and errors for bad values."""

import dataclasses
import json
import subprocess
import sys

import pytest

SECTIONS = ("task", "model", "optim", "schedule")


def build(section="run", **fields):
    import train.config.run as config

    classes = {
        "run": config.RunConfig,
        "task": config.TaskConfig,
        "model": config.ModelConfig,
        "optim": config.OptimConfig,
        "schedule": config.ScheduleConfig,
    }
    return classes[section](**fields)


def override(fields, config=None):
    from train.config.settings import override

    return override(build() if config is None else config, fields)


def from_dict(data):
    from train.config.run import RunConfig

    return RunConfig.from_dict(data)


# Every field with a value that is not its default and may be set alone.
OTHER_VALUES = {
    "op": "mul",
    "p": 97,
    "group": "S5",
    "train_frac": 0.4,
    "split": "torch",
    "split_seed": 0,
    "layout": "a op b =",
    "shared_vocabulary": False,
    "outliers": 3,
    "arch": "mlp",
    "n_layers": 2,
    "d_model": 64,
    "n_heads": 2,
    "d_head": 16,
    "d_mlp": 100,
    "attn_only": True,
    "act_fn": "gelu",
    "norm": "post",
    "positions": "sinusoidal",
    "attention": "bidirectional",
    "attn_rate": 0.5,
    "biases": "all",
    "outputs": "answers",
    "init": "pytorch",
    "init_scale": 2.0,
    "output_scale": 0.5,
    "optimizer": "adam",
    "lr": 3e-4,
    "weight_decay": 0.0,
    "decay_towards": "init",
    "beta1": 0.8,
    "beta2": 0.999,
    "eps": 1e-6,
    "momentum": 0.9,
    "warmup_steps": 0,
    "decay_steps": 500,
    "decay_to": 0.5,
    "batch_size": 512,
    "precision": "bfloat16",
    "loss": "stablemax",
    "loss_precision": "float16",
    "update_noise": 1.0,
    "weight_noise": 0.01,
    "dropout": 0.1,
    "muon_momentum": 0.9,
    "orthogonal_gradient": True,
    "grokfast_alpha": 0.98,
    "grokfast_window": 100,
    "grokfast_lambda": 5.0,
    "grokfast_from": 500,
    "norm_clamp": 1.5,
    "steps": 40_000,
    "per_decade": 32,
    "seed": 1,
}
COMPANIONS = {
    "group": {"op": "compose"},
    "arch": {"layout": "a b"},
    "momentum": {"optimizer": "sgd"},
    "grokfast_from": {"grokfast_alpha": 0.9},
    "grokfast_lambda": {"grokfast_alpha": 0.9},
    "muon_momentum": {"optimizer": "muon"},
    "decay_to": {"decay_steps": 500},
}


def changed(name):
    """The default run with one field changed, together with the fields that this one needs."""
    return override({name: OTHER_VALUES[name], **COMPANIONS.get(name, {})})


def test_other_values_cover_every_field():
    flat = [f.name for section in SECTIONS for f in dataclasses.fields(build(section))] + ["seed"]
    assert list(OTHER_VALUES) == flat


# ---- JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_json_round_trip(name):
    config = changed(name)
    text = json.dumps(config.to_dict(), allow_nan=False)
    back = from_dict(json.loads(text))
    assert back == config != build()
    assert back.identity == config.identity


def test_absent_fields_take_their_reference_values():
    """A config written before a field existed means training without that field."""
    config = from_dict({"task": {"p": 59}, "seed": 3})
    assert config == build(task=build("task", p=59, split="stream"), seed=3)
    assert from_dict({}) == build(task=build("task", split="stream")) != build()


@pytest.mark.parametrize(
    ("data", "field", "section", "allowed"),
    [
        ({"model": {"d_modle": 8}}, "d_modle", "model", "d_model"),
        ({"task": {"operation": "add"}}, "operation", "task", "op"),
        ({"optimiser": {}}, "optimiser", "run", "optim"),
        ({"p": 113}, "p", "run", "task"),
    ],
)
def test_unknown_fields_are_refused(data, field, section, allowed):
    with pytest.raises(ValueError, match=f"unknown field '{field}' in {section} configuration") as error:
        from_dict(data)
    assert allowed in str(error.value).split("allowed are ")[1].split(", ")


def test_configs_are_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        build().seed = 1
    assert hash(build()) == hash(build()) and {build(): 1}[build()] == 1


# ---- identity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in OTHER_VALUES if name != "steps"])
def test_identity_follows_every_choice(name):
    assert changed(name).identity != build().identity
    assert changed(name).run_id != build().run_id


def test_identities_of_all_choices_differ():
    ids = [changed(name).run_id for name in OTHER_VALUES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("steps", [1, 40_000])
def test_identity_ignores_the_number_of_steps(steps):
    longer = override({"steps": steps})
    assert longer != build() and longer.schedule.steps == steps
    assert (longer.identity, longer.run_id) == (build().identity, build().run_id)


def test_defaults_given_by_hand_change_nothing():
    spelled = from_dict(build().to_dict())
    assert spelled.identity == build().identity == '{"task":{"split":"python"}}'


def test_run_ids_are_pinned():
    """Run ids never change, so later versions find today's directories; hashes are sha256sum's of the text beside."""
    assert override({"split": "stream"}).run_id == "add-p113-s0-44136fa3"  # {}
    assert build().run_id == "add-p113-s0-bed7f234"  # {"task":{"split":"python"}}
    mul = override({"split": "stream", "op": "mul", "p": 97, "seed": 3, "weight_decay": 0.5})
    assert mul.identity == '{"optim":{"weight_decay":0.5},"seed":3,"task":{"op":"mul","p":97}}'
    assert mul.run_id == "mul-p97-s3-9f484667"
    s5 = override({"split": "stream", "op": "compose", "group": "S5", "train_frac": 0.6})
    assert s5.identity == '{"task":{"group":"S5","op":"compose","p":null,"train_frac":0.6}}'
    assert s5.run_id == "compose-s5-s0-b8cae125"


def test_run_ids_are_safe_directory_names():
    ids = [changed(name).run_id for name in OTHER_VALUES]
    assert all(set(run_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for run_id in ids)
    assert changed("group").run_id.startswith("compose-s5-s0-")
    assert changed("seed").run_id.startswith("add-p113-s1-")


def test_split_seed_falls_back_on_the_seed():
    assert build(seed=5).split_seed == 5
    assert override({"seed": 5, "split_seed": 0}).split_seed == 0


# ---- what is derived --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "n_elements", "d_vocab", "n_ctx", "d_vocab_out"),
    [
        ({}, 113, 114, 3, 114),
        ({"outputs": "answers"}, 113, 114, 3, 113),
        ({"layout": "a op b =", "p": 97}, 97, 99, 4, 99),
        ({"layout": "a b", "p": 59}, 59, 59, 2, 59),
        ({"layout": "eos a op b =", "p": 97}, 97, 100, 5, 100),
        ({"layout": "a b", "p": 59, "shared_vocabulary": False, "outputs": "answers"}, 59, 118, 2, 59),
        ({"op": "compose", "group": "S5", "outputs": "answers"}, 120, 121, 3, 120),
        ({"op": "sandwich", "group": "D59", "layout": "a b"}, 118, 118, 2, 118),
    ],
)
def test_sizes(fields, n_elements, d_vocab, n_ctx, d_vocab_out):
    config = override(fields)
    task = config.task
    sizes = (task.n_elements, task.d_vocab, task.n_ctx, config.d_vocab_out)
    assert sizes == (n_elements, d_vocab, n_ctx, d_vocab_out)


def test_widths():
    assert (build("model").head_width, build("model").mlp_width) == (32, 512)
    assert (build("model", d_head=7, d_mlp=9).head_width, build("model", d_head=7, d_mlp=9).mlp_width) == (7, 9)
    assert build("model", d_model=10, n_heads=4, d_head=3).head_width == 3  # given, so nothing to divide
    assert build("model", arch="mlp", d_model=10, n_heads=4).d_model == 10  # an MLP has no heads


# ---- override ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in OTHER_VALUES if name not in COMPANIONS])
def test_override_changes_one_field(name):
    before, after = build().to_dict(), changed(name).to_dict()
    flat = {key: (before[section][key], after[section][key]) for section in SECTIONS for key in before[section]}
    flat["seed"] = (before["seed"], after["seed"])
    assert {key for key, (was, now) in flat.items() if was != now} == {name}
    assert flat[name][1] == OTHER_VALUES[name]


def test_group_and_p_replace_each_other():
    s5 = override({"op": "compose", "group": "S5"})
    assert (s5.task.p, s5.task.group, s5.task.structure) == (None, "S5", "S5")
    back = override({"op": "add", "p": 97}, s5)
    assert (back.task.p, back.task.group, back.task.structure) == (97, None, 97)
    assert override({"group": "D4"}, s5).task.structure == "D4"
    assert override({"lr": 0.1}, s5).task == s5.task
    assert override({"group": "S4", "p": None, "op": "compose"}).task.structure == "S4"


def test_group_and_p_together_are_refused():
    with pytest.raises(ValueError, match="got both p = 7 and group 'S5': give one"):
        override({"op": "compose", "p": 7, "group": "S5"})


def test_override_leaves_the_original_alone():
    base, fields = build(), {"op": "compose", "group": "S5"}
    override(fields, base)
    assert base == build() and fields == {"op": "compose", "group": "S5"}
    assert override({}, base) == base


@pytest.mark.parametrize(
    ("came", "nearest"),
    [("weightdecay", "weight_decay"), ("n_layer", "n_layers"), ("sed", "seed"), ("trainfrac", "train_frac")],
)
def test_an_unknown_setting_names_the_nearest(came, nearest):
    with pytest.raises(ValueError, match=f"unknown setting '{came}'; did you mean '{nearest}'"):
        override({came: 1})


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_no_setting(section):
    with pytest.raises(ValueError, match=f"unknown setting '{section}'"):
        override({section: {}})


# ---- bad values -------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"p": 1}, ["p = 1 ", "from 2 to"]),
        ({"p": 0}, ["p = 0 ", "from 2 to"]),
        ({"p": -113}, ["p = -113 ", "from 2 to"]),
        ({"op": "div", "p": 91}, ["'div'", "prime", "p = 91", "97"]),
        ({"op": "ad"}, ["'ad'", "did you mean 'add'"]),
        ({"op": "compose", "group": "Q8"}, ["'Q8'", "S<n>"]),
        ({"op": "compose", "group": "S9"}, ["S9", "362880", "5040"]),
        ({"op": "compose", "group": "C1"}, ["C1", "1 elements", "2 to"]),
        ({"op": "compose"}, ["'compose'", "group", "p = 113", "--group"]),
        ({"group": "S5"}, ["'add'", "residues", "'S5'", "--p"]),
        ({"train_frac": 0.0}, ["train_frac = 0.0", "between 0 and 1", "excluded"]),
        ({"train_frac": 1.0}, ["train_frac = 1.0", "between 0 and 1", "excluded"]),
        ({"train_frac": -0.3}, ["train_frac = -0.3", "between 0 and 1"]),
        ({"train_frac": 30.0}, ["train_frac = 30.0", "between 0 and 1"]),
        ({"train_frac": NAN}, ["train_frac = nan", "finite"]),
        ({"train_frac": 1e-5}, ["train_frac = 1e-05", "12769 rows", "raise it"]),
        ({"split_seed": -1}, ["split_seed = -1", "from 0 to"]),
        ({"split_seed": 2**63}, [f"split_seed = {2**63}", "from 0 to"]),
        ({"seed": -1}, ["seed = -1", "from 0 to"]),
        ({"seed": 2**63}, [f"seed = {2**63}", "from 0 to"]),
        ({"seed": True}, ["seed = True", "whole number"]),
        ({"n_layers": 0}, ["n_layers = 0", "from 1"]),
        ({"n_layers": True}, ["n_layers = True", "whole number"]),
        ({"d_model": 130}, ["d_model = 130", "n_heads = 4", "divisible", "--d-head"]),
        ({"n_heads": 0}, ["n_heads = 0", "from 1"]),
        ({"d_head": 0}, ["d_head = 0", "from 1"]),
        ({"d_mlp": -4}, ["d_mlp = -4", "from 1"]),
        ({"attn_rate": 1.5}, ["attn_rate = 1.5", "from 0 to 1"]),
        ({"attn_rate": -0.1}, ["attn_rate = -0.1", "from 0 to 1"]),
        ({"attn_rate": NAN}, ["attn_rate = nan", "finite"]),
        ({"lr": NAN}, ["lr = nan", "finite"]),
        ({"lr": INF}, ["lr = inf", "finite"]),
        ({"lr": -1e-3}, ["lr = -0.001", "from 0"]),
        ({"weight_decay": NAN}, ["weight_decay = nan", "finite"]),
        ({"weight_decay": -1.0}, ["weight_decay = -1.0", "from 0"]),
        ({"beta1": 1.5}, ["beta1 = 1.5", "from 0"]),
        ({"beta2": -0.1}, ["beta2 = -0.1", "from 0"]),
        ({"beta2": NAN}, ["beta2 = nan", "finite"]),
        ({"eps": -INF}, ["eps = -inf", "finite"]),
        ({"warmup_steps": -1}, ["warmup_steps = -1", "from 0"]),
        ({"batch_size": 0}, ["batch_size = 0", "from 1"]),
        ({"batch_size": False}, ["batch_size = False", "whole number"]),
        ({"steps": 0}, ["steps = 0", "from 1"]),
        ({"per_decade": 0}, ["per_decade = 0", "from 1"]),
        ({"per_decade": True}, ["per_decade = True", "whole number"]),
        ({"arch": "mlp"}, ["mlp", "'a b'", "'a b ='", "--layout"]),
    ],
    ids=str,
)
def test_bad_values_say_what_came_and_what_is_allowed(fields, said):
    with pytest.raises(ValueError) as error:
        override(fields)
    message = str(error.value)
    assert all(phrase in message for phrase in said), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "fields",
    [
        {"p": 2, "train_frac": 0.25},
        {"p": 6},
        {"train_frac": 0.999},
        {"lr": 0.0},
        {"weight_decay": 0.0},
        {"warmup_steps": 0},
        {"attn_rate": 0.0},
        {"beta1": 0.0},
        {"seed": 2**63 - 1},
        {"op": "compose", "group": "C2", "train_frac": 0.5},
        {"steps": 1, "per_decade": 1},
    ],
    ids=str,
)
def test_values_at_the_edge_are_allowed(fields):
    config = override(fields)
    assert config.run_id


def test_a_range_in_a_message_is_the_range_allowed():
    """A message gives exactly the allowed range: beta = 1 is refused, so 1 is excluded there too."""
    with pytest.raises(ValueError) as error:
        override({"beta1": 1.0})
    assert not str(error.value).endswith("to 1"), str(error.value)


@pytest.mark.parametrize(("p", "train_frac"), [(2, 0.3), (3, 0.12)])
def test_a_partial_table_must_leave_something_to_train_on(p, train_frac):
    """Division has p (p - 1) defined rows; a fraction that leaves no training row is refused: int(0.3 * 2) = 0."""
    assert int(train_frac * p * (p - 1)) == 0 < int(train_frac * p * p)
    with pytest.raises(ValueError, match="leaves nothing to train on"):
        override({"op": "div", "p": p, "train_frac": train_frac})


# ---- values of a wrong type, as they come from a file -------------------------------------------------------
# In a process of its own: here the run-time checker of annotations would speak first.

FILES = {
    "weight decay as int": {"optim": {"weight_decay": 1}},
    "weight decay as float": {"optim": {"weight_decay": 1.0}},
    "two as int": {"optim": {"weight_decay": 2}},
    "two as float": {"optim": {"weight_decay": 2.0}},
    "lr as text": {"optim": {"lr": "0.001"}},
    "lr as bool": {"optim": {"lr": True}},
    "filter as number": {"optim": {"orthogonal_gradient": 1}},
    "lr as null": {"optim": {"lr": None}},
    "train_frac as int": {"task": {"train_frac": 1}},
    "layers as float": {"model": {"n_layers": 2.0}},
    "layers as text": {"model": {"n_layers": "2"}},
    "layers as null": {"model": {"n_layers": None}},
    "width as list": {"model": {"d_model": [128]}},
    "unknown norm": {"model": {"norm": "batch"}},
    "norm as null": {"model": {"norm": None}},
    "unknown split": {"task": {"split": "numpy"}},
    "unknown layout": {"task": {"layout": "a + b"}},
    "unknown init": {"model": {"init": "xavier"}},
    "unknown optimizer": {"optim": {"optimizer": "lion"}},
    "op as number": {"task": {"op": 3}},
    "op as list": {"task": {"op": ["add"]}},
    "p as text": {"task": {"p": "97"}},
    "p as float": {"task": {"p": 97.0}},
    "p as bool": {"task": {"p": True}},
    "p as null": {"task": {"p": None}},
    "p as group": {"task": {"op": "compose", "p": "S5"}},
    "group as number": {"task": {"p": None, "group": 7}},
    "group as list": {"task": {"op": "compose", "p": None, "group": ["S5"]}},
    "seed as float": {"seed": 0.5},
    "seed as null": {"seed": None},
    "steps as float": {"schedule": {"steps": 1e4}},
    "section as number": {"task": 3},
    "section as list": {"model": []},
    "section as null": {"optim": None},
}
WITHOUT_CHECKER = """
import json, sys
from train.config.run import RunConfig
answers = {}
for name, data in json.load(sys.stdin).items():
    try:
        answers[name] = ["made", RunConfig.from_dict(data).run_id]
    except Exception as error:
        answers[name] = [type(error).__name__, str(error)]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def read_from_file():
    """The outcome of a case of ``FILES``: ("made", run_id) or (the exception's name, its message)."""
    command = [sys.executable, "-c", WITHOUT_CHECKER]
    done = subprocess.run(command, input=json.dumps(FILES), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_one_and_one_point_zero_are_one_identity(read_from_file):
    stream = override({"split": "stream"})
    assert read_from_file["weight decay as int"] == ["made", stream.run_id]
    assert read_from_file["weight decay as float"] == ["made", stream.run_id]
    assert read_from_file["two as int"] == read_from_file["two as float"]
    two = override({"weight_decay": 2.0}, stream).run_id
    assert read_from_file["two as int"] == ["made", two] != ["made", stream.run_id]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("lr as text", ["lr = '0.001'", "finite number"]),
        ("lr as bool", ["lr = True", "finite number"]),
        ("lr as null", ["lr = None", "finite number"]),
        ("filter as number", ["orthogonal_gradient = 1", "true or false"]),
        ("train_frac as int", ["train_frac = 1", "between 0 and 1"]),
        ("layers as float", ["n_layers = 2.0", "whole number"]),
        ("layers as text", ["n_layers = '2'", "whole number"]),
        ("layers as null", ["n_layers = None", "whole number"]),
        ("width as list", ["d_model = [128]", "whole number"]),
        ("unknown norm", ["norm = 'batch'", "'none', 'pre', 'post'"]),
        ("norm as null", ["norm = None", "'none', 'pre', 'post'"]),
        ("unknown split", ["split = 'numpy'", "'stream', 'torch', 'python'"]),
        ("unknown layout", ["layout = 'a + b'", "'a op b ='"]),
        ("unknown init", ["init = 'xavier'", "'transformerlens'"]),
        ("unknown optimizer", ["optimizer = 'lion'", "'adamw', 'adam', 'sgd', 'muon'"]),
        ("op as number", ["3", "add"]),
        ("op as list", ["add"]),
        ("p as text", ["p = '97'"]),
        ("p as float", ["p = 97.0"]),
        ("p as bool", ["p = True"]),
        ("p as null", ["p"]),
        ("p as group", ["p = 'S5'"]),
        ("group as number", ["group", "7"]),
        ("group as list", ["group", "S5"]),
        ("seed as float", ["seed = 0.5", "whole number"]),
        ("seed as null", ["seed = None", "whole number"]),
        ("steps as float", ["steps = 10000.0", "whole number"]),
        ("section as number", ["task", "3"]),
        ("section as list", ["model", "[]"]),
        ("section as null", ["optim", "None"]),
    ],
)
def test_wrong_types_from_a_file_are_usage_errors(read_from_file, case, said):
    kind, message = read_from_file[case]
    assert kind == "ValueError", (kind, message)
    assert all(phrase in message for phrase in said), message
