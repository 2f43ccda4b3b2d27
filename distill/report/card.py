"""The model card: `README.md` of the student's folder, with results that the hub can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .markdown import escape, fence, pairs, table
from .model import build_report
from .schema import Model, Report
from .sections import Pairs, data_facts, model_facts, usage
from .tables import facts, models_table, parity_table, sources_of
from .words import KINDS, duration, figure, metric_words, public_name, whole

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
TAGS = ["sentence-transformers", "sentence-similarity", "feature-extraction", "knowledge-distillation", "onnx"]
PIPELINES = {
    "classification": ("text-classification", "A text classifier: it gives each text one label."),
    "multilabel": ("text-classification", "A text classifier: it says yes or no to each of several labels."),
    "regression": ("text-classification", "A scorer of texts: it gives each text a number."),
    "tokens": ("token-classification", "A tagger: it labels the words of a text."),
    "spans": ("question-answering", "A reader: it finds the answer to a question in a text."),
}
"""The tasks with a head: their name on the hub, and what such a model is."""
HUB_KINDS = {
    "translation": "translation",
    "transfer": "text-classification",
    "retrieval": "information-retrieval",
}
"""What the hub calls kinds of evaluation sets other than sts."""
USES = {
    "embedding": "Search, clustering, deduplication and comparison of short texts, where the teacher is too large or too slow.",
    "task": "The teacher's own task on text like that of training, where the teacher is too large or too slow.",
}
DATA_FILE = re.compile(r"\.(txt|csv|tsv|jsonl|parquet)(\.gz)?$", re.IGNORECASE)


def model_card(run: Path) -> str:
    """Model card of a run's student.

    Args:
        run: a run folder; see `build_report` for the files it needs.

    Returns:
        Markdown with YAML front matter: language and license where known, base model, tags, model-index results
        of the student and of every exported file that met its gate.

    Raises:
        RunError: a file is missing or damaged.
    """
    report = build_report(run)
    front = yaml.safe_dump(front_matter(report), sort_keys=False, allow_unicode=True, width=120)
    teacher = public_name(report.teacher.model or _value(report.recipe, "teacher", "model") or "its teacher")
    prompt, seen = report.teacher.prompt, "predictions" if report.task in PIPELINES else "vectors"
    blocks = [
        f"---\n{front}---",
        f"# {escape(report.name)}",
        f"{_what(report)} Distilled from {escape(teacher)} with distill-toolkit.",
        escape(report.summary),
        *([f"Every sentence gets the prompt {escape(repr(prompt))} first; the loaders below do so too."] if prompt else []),
        table(models_table(report)),
        table(parity_table(report)),
        "## How to load it\n\nHere `student` is the folder of this file.",
        *(f"### {title}\n\n{fence(code, language)}" for title, language, code in usage(report)),
        "## Intended use\n\n" + _intended_use(report),
        "## Limits\n\nThe numbers hold for the sets and the machine they were measured on. The student has seen its "
        f"teacher's {seen} for this text alone: {escape(sources_of(report.recipe) or 'not recorded')}. "
        "On text of another kind or language, measure before use. It carries over the teacher's biases."
        + _said(report, "limits"),
        "## Training\n\n" + pairs(model_facts(report)),
        "## Training data\n\n" + pairs(data_facts(report)) + _said(report, "training_data"),
        *([f"## Licence\n\n{licence}"] if (licence := _licence(report)) else []),
        "## Environmental cost\n\n" + pairs(environmental_facts(report)),
    ]
    return "\n\n".join(blocks) + "\n"


def _what(report: Report) -> str:
    """What the model does, in a sentence."""
    if report.task in PIPELINES:
        return PIPELINES[report.task][1]
    width = report.student.dim or report.teacher.dim or "fixed"
    return f"A sentence encoder: it maps text to vectors of {width} dimensions whose cosine tells how alike two sentences are."


def front_matter(report: Report) -> dict[str, Any]:
    """The metadata of the card, as the hub's schema wants it; what is unknown is left out."""
    pipeline = PIPELINES[report.task][0] if report.task in PIPELINES else None
    values: dict[str, Any] = {
        "language": _asked(report, "language") or report.teacher.language or _language(report.recipe),
        "license": _asked(report, "license") or report.teacher.license,
        "license_name": _asked(report, "license_name"),
        "license_link": _asked(report, "license_link"),
        "library_name": "transformers" if pipeline else "sentence-transformers",
        "pipeline_tag": pipeline or "sentence-similarity",
        "tags": list(dict.fromkeys([*([pipeline, *TAGS[3:]] if pipeline else TAGS), *(_asked(report, "tags") or ())])),
        "base_model": _base_models(report),
        "datasets": list(dict.fromkeys([*_hub_sources(report.recipe), *(_asked(report, "datasets") or ())])),
        "metrics": sorted({quality.metric for model in report.models for quality in model.quality.values()}),
        "model-index": _model_index(report),
    }
    return {key: value for key, value in values.items() if value}


def environmental_facts(report: Report) -> Pairs:
    """Time, machine and, where it was measured, energy. Nothing is estimated."""
    energy = (report.training.model_extra or {}).get("energy_wh")
    measured = isinstance(energy, int | float) and not isinstance(energy, bool) and energy > 0
    environment = report.environment
    machine = ", ".join(
        words
        for words in (
            str(environment.get("cpu") or ""),
            f"{environment['cores']} cores" if environment.get("cores") else "",
            f"{environment['memory_gb']} GB memory" if environment.get("memory_gb") else "",
        )
        if words
    )
    return facts(
        [
            ("Training time", duration(report.cost.train_seconds)),
            ("Time of the whole run", duration(report.cost.total_seconds)),
            ("Machine", machine),
            ("Sentences through the teacher in this run", whole(report.signals.computed)),
            ("Energy of training", f"{figure(energy)} Wh, measured" if measured else "not measured"),
        ]
    )


def _intended_use(report: Report) -> str:
    """What the model is for: as the recipe says, else what such a model does."""
    words = _asked(report, "intended_use")
    if words:
        return escape(words)
    uses = USES["task" if report.task in PIPELINES else "embedding"]
    return f"{uses} The quality above tells how far it can replace its teacher."


def _licence(report: Report) -> str:
    """A word where the recipe gives the student another licence than the teacher has."""
    own, its = _asked(report, "license"), report.teacher.license
    if not own or not its or own == its:
        return ""
    return f"The student is under {escape(str(own))}, its teacher under {escape(its)}: see that the one allows the other."


def _said(report: Report, part: str) -> str:
    """A paragraph that the recipe adds to the card, or nothing."""
    words = _asked(report, part)
    return f"\n\n{escape(words)}" if words else ""


def _asked(report: Report, part: str) -> Any:
    """A value of the recipe's card, or None."""
    return _value(report.recipe, "card", part)


def _model_index(report: Report) -> list[dict[str, Any]]:
    shown = [model for model in report.models if model.role != "teacher" and model.note is None]
    tasks = sorted({task for model in shown for task in model.quality}, key=lambda task: (task == "agreement", task))
    results = [result for task in tasks if (result := _result(report, task, shown))]
    return [{"name": report.name, "results": results}] if results else []


def _result(report: Report, task: str, models: list[Model]) -> dict[str, Any] | None:
    metrics = [
        {
            "type": model.quality[task].metric,
            "value": round(value, 6),
            "name": f"{metric_words(model.quality[task].metric, model.quality[task].kind)} ({_runs_as(model)})",
        }
        for model in models
        if task in model.quality and (value := model.quality[task].value) is not None
    ]
    if not metrics:
        return None
    agreement = task == "agreement"
    measured = next(model.quality[task].kind for model in models if task in model.quality)
    kind = PIPELINES[report.task][0] if report.task in PIPELINES else HUB_KINDS.get(measured, "sentence-similarity")
    labelled = KINDS.get(measured) or kind.replace("-", " ").capitalize()
    name = "Agreement with the teacher on held-out text" if agreement else labelled
    dataset = {"name": "held-out training text", "type": "unknown"} if agreement else _dataset(report.recipe, task)
    return {"task": {"type": kind, "name": name}, "dataset": dataset, "metrics": metrics}


def _runs_as(model: Model) -> str:
    return "PyTorch" if model.role == "student" else (model.path or model.name).removeprefix("student/")


def _dataset(recipe: Mapping[str, Any], task: str) -> dict[str, Any]:
    source = _value(recipe, "data", "evaluate", task)
    values = source if isinstance(source, Mapping) else {}
    if not _is_hub_id(values.get("source")):
        return {"name": task, "type": "unknown"}
    found = {
        "name": task,
        "type": values["source"],
        "config": values.get("subset"),
        "split": values.get("split"),
        "revision": values.get("revision"),
    }
    return {key: value for key, value in found.items() if value}


def _base_models(report: Report) -> list[str]:
    """Hub ids of the teachers and of the model the student was cut from; folders and packages have none."""
    start, others = _value(report.recipe, "student", "from"), _value(report.recipe, "teacher", "others")
    more = [_value(other, "model") for other in others] if isinstance(others, list) else []
    first = _value(report.recipe, "teacher", "model") if more else report.teacher.model
    named = [report.teacher.hub_id, first or _value(report.recipe, "teacher", "model"), *more, start]
    return list(dict.fromkeys(str(name) for name in named if _is_hub_id(name)))


def _hub_sources(recipe: Mapping[str, Any]) -> list[str]:
    train = _value(recipe, "data", "train")
    sources = [item.get("source") for item in train if isinstance(item, Mapping)] if isinstance(train, list) else []
    return [str(source) for source in sources if _is_hub_id(source)]


def _language(recipe: Mapping[str, Any]) -> str | None:
    """The one case where the text's language is known: the prose of installed packages is English."""
    return "en" if sources_of(recipe).replace("python-docs", "").strip(", ") == "" and sources_of(recipe) else None


def _is_hub_id(name: Any) -> bool:
    """Whether a name is of the form owner/name and neither a data file nor a folder of this machine."""
    return isinstance(name, str) and bool(HUB_ID.match(name)) and not DATA_FILE.search(name) and not Path(name).exists()


def _value(tree: Mapping[str, Any], *path: str) -> Any:
    value: Any = tree
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
