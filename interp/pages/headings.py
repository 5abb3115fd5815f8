"""Headings of a run's page: title, subtitle, labels of the slider, provenance."""

from interp.html.blocks import Phase
from interp.html.numbers import percent
from interp.html.page import Selection
from interp.runs.run import Run
from interp.story.standing import standing_of
from interp.story.words import operation_words
from train.storage.provenance import versions

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
VERBS = {
    "generalises": "learns",
    "between": "partly learns",
    "memorises": "memorises",
    "unfitted": "is trained on",
    "unknown": "is trained on",
}
"""What the network does with its operation, by the kind of ``interp.story.standing.Standing``."""


def title(run: Run) -> str:
    """The model, what became of it, and its operation: "A one-layer transformer learns a + b mod 113"."""
    model = run.config.model
    count = NUMBERS[model.n_layers] if model.n_layers < len(NUMBERS) else str(model.n_layers)
    if model.arch == "mlp":
        layers = "" if model.n_layers == 1 else f" of {count} layers"
        subject = f"A two-operand MLP{layers}"
    else:
        article = "An" if count[0] in "ae" or count in ("8", "11", "18") else "A"
        subject = f"{article} {count}-layer {'attention-only ' if model.attn_only else ''}transformer"
    return f"{subject} {VERBS[standing_of(run).kind]} {operation_words(run)}"


def subtitle(run: Run) -> str:
    """Width, split, update rule, seed and number of snapshots in one line."""
    model, optim, knows = run.config.model, run.config.optim, run.origin.knows
    words = [f"{run.config.task.label}: width {model.d_model}"]
    share = f"{percent(run.config.task.train_frac, 0)} of the table" if knows("task.train_frac") else "an unknown part"
    update = "optimiser unknown"
    if knows("optim"):
        rows = run.config.batch_rows
        update = f"{'full batch' if rows is None else f'batches of {rows}'}, {optim.label}"
    seed = f", seed {run.config.seed}" if knows("seed") else ""
    imported = "" if run.origin.kind == "trained" else f"imported from {run.origin.source}; "
    steps = "1 snapshot at" if len(run.steps) == 1 else f"{len(run.steps)} snapshots up to"
    last = f"step {run.steps[-1]:,}" if knows("step") else "an unknown step"
    return f"{', '.join(words)}, trained on {share}, {update}{seed}; {imported}{steps} {last}"


def step_labels(run: Run) -> tuple[str, ...]:
    """The slider's label at each step: the step, and accuracies that were logged there."""
    rows = run.evaluations.set_index("step")
    labels = []
    for step in run.steps:
        label = f"step {step:,}" if run.origin.knows("step") else f"step unknown ({step:,})"
        if step in rows.index:
            for name, accuracy in (("train", rows.loc[step, "train_acc"]), ("test", rows.loc[step, "test_acc"])):
                label += f" · {name} {percent(accuracy)}" if accuracy == accuracy else ""
        labels.append(label)
    return tuple(labels)


def selections(run: Run) -> dict[str, Selection]:
    """What a reader can select in a run's page: a frequency, a neuron, and the operands a and b by their names."""
    table = run.task.table
    names = () if table is None else tuple(table.elements)
    return {
        "k": Selection("frequency {}"),
        "neuron": Selection("neuron {}"),
        "a": Selection("a = {}", names),
        "b": Selection("b = {}", names),
    }


SHARED = {"token": ("a", "b")}
"""An element of the table stands for either operand; choosing one chooses a."""


def print_steps(run: Run, marks: tuple[Phase, ...]) -> tuple[int, ...]:
    """Up to three snapshots at which the first screen is printed: the ends of the run's phases, else its last one."""
    ends = [run.nearest(phase.last).step for phase in marks] or [run.steps[-1]]
    return tuple(sorted(set(ends)))[-3:]


def provenance(run: Run) -> dict[str, object]:
    """Names and values of the footer: the run's origin and training sessions, and the versions that made the page."""
    origin = run.origin
    facts: dict[str, object] = {"run": run.name}
    if origin.kind == "trained":
        facts |= {"seed": run.config.seed, "split seed": run.config.split_seed}
    else:
        facts |= {"imported from": origin.source, "SHA-256 of that file": origin.sha256, "layout": origin.layout}
        facts |= {f"import: note {i}": note for i, note in enumerate(origin.notes, start=1)}
    sessions = run.store.info["sessions"]
    for i, session in enumerate(sessions, start=1):
        name = "trained with" if len(sessions) == 1 else f"training session {i}"
        facts[f"{name}: command"] = session.get("command", "unknown")
        facts[f"{name}: machine"] = "{}, {} threads, {}".format(
            *(session.get(part, "unknown") for part in ("device", "threads", "cpu"))
        )
        if "pass" in session:
            because = f", because of {session['pass_because_of']}" if "pass_because_of" in session else ""
            facts[f"{name}: pass"] = f"{session['pass']}{because}"
        facts[f"{name}: versions"] = ", ".join(f"{k} {v}" for k, v in session.get("versions", {}).items())
        git = session.get("git")
        commit = "not a git checkout" if git is None else git["commit"] + (" with changes" if git["dirty"] else "")
        facts[f"{name}: commit"] = commit
    facts["report made with"] = ", ".join(f"{name} {version}" for name, version in versions().items())
    return facts
