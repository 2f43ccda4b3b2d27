"""Numbers and findings in plain words, one spelling for every form of the report, in English and in Korean.

Every text of the report goes through `tell`: the English words are the name of the text, `korean.KOREAN` holds the other
language. A page is written inside `speaking(language)`; outside of one everything is English.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from .korean import KOREAN, clauses
from .schema import Headline, Model, Report

LANGUAGES = ("en", "ko")
_language: ContextVar[str] = ContextVar("language", default="en")


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Texts made inside the block are in this language; an unknown one is English."""
    token = _language.set(language if language in LANGUAGES else "en")
    try:
        yield
    finally:
        _language.reset(token)


def spoken() -> str:
    """The language of the moment: en or ko."""
    return _language.get()


def tell(words: str, **values: object) -> str:
    """A text in the language of the moment.

    Args:
        words: the English text, with `{name}` where a value stands; it must be written out where `tell` is called.
        values: what stands there.
    """
    return (KOREAN.get(words, words) if spoken() == "ko" else words).format(**values)


def known(words: str) -> str:
    """A text of one of the tables here, such as a metric's name, in the language of the moment; others stay as they are."""
    return KOREAN.get(words, words) if spoken() == "ko" else words


MISSING = "–"
METRICS = {
    "spearman": "Spearman of pair similarities",
    "spearman_cosine": "Spearman of cosine",
    "pearson_cosine": "Pearson of cosine",
    "spearman_euclidean": "Spearman of Euclidean",
    "pearson_euclidean": "Pearson of Euclidean",
    "spearman_manhattan": "Spearman of Manhattan",
    "pearson_manhattan": "Pearson of Manhattan",
    "spearman_dot": "Spearman of dot product",
    "pearson_dot": "Pearson of dot product",
    "mean_cosine": "Mean cosine",
    "top10_overlap": "Top-10 neighbour overlap",
    "agreement_spearman": "Spearman of pair similarities, dev",
    "agreement_cosine": "Mean cosine to the teacher, dev",
    "sts_spearman": "Spearman of cosine, labelled dev set",
    "translation_accuracy": "Translations found",
    "accuracy_to_translation": "Text finds translation",
    "accuracy_to_source": "Translation finds text",
    "mrr_to_translation": "MRR, text to translation",
    "mrr_to_source": "MRR, translation to text",
    "to_teacher_accuracy": "Finds the teacher's text",
    "to_teacher_mrr": "MRR to the teacher's texts",
    "to_teacher_cosine": "Mean cosine to the teacher's text",
    "ndcg@10": "nDCG@10",
    "mrr@10": "MRR@10",
    "recall@10": "Recall@10",
    "recall@100": "Recall@100",
    "map": "Mean average precision",
    "asymmetric_ndcg@10": "nDCG@10 in the teacher's index",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "matthews": "Matthews correlation",
    "subset_accuracy": "All labels right",
    "rmse": "Root mean squared error",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "token_accuracy": "Accuracy of tags",
    "entities": "Entities",
    "exact_match": "Exact match",
    "exact_match_low": "Exact match, low end",
    "exact_match_high": "Exact match, high end",
    "f1_answerable": "F1, with an answer",
    "f1_unanswerable": "F1, without an answer",
    "agreement": "Equal predictions",
    "label_agreement": "Equal labels",
    "task_metric": "The task's metric on the dev set",
}
OF_TASK = {
    "translation": {"mean_cosine": "Mean cosine of text and translation"},
    "transfer": {"accuracy": "Accuracy of a classifier on the vectors"},
    "regression": {
        "spearman": "Spearman of the values",
        "pearson": "Pearson of the values",
        "agreement": "Spearman of the two models' values",
    },
    "tokens": {"f1": "Entity F1", "macro_f1": "Macro F1 of entity types", "agreement": "Equal tags"},
    "spans": {"f1": "F1 of answers", "agreement": "Equal answers"},
}
"""Where a metric's name means something else than with sentence vectors: kind of task -> metric -> words."""
KINDS = {
    "sts": "Semantic textual similarity",
    "translation": "Translation retrieval",
    "transfer": "Transfer of a classifier",
    "retrieval": "Information retrieval",
}
"""Kinds of evaluation sets of sentence encoders."""
LABELLED = {"classification": "accuracy", "multilabel": "micro_f1", "regression": "spearman", "tokens": "f1", "spans": "f1"}
"""The tasks with a head, each with its metric."""
PRESETS = {
    "teacher": "the model that was distilled, PyTorch fp32",
    "student": "the distilled model, PyTorch fp32",
    "fp32": "ONNX, full precision",
    "fast": "ONNX, 8-bit weights and activations: smallest and quickest on CPUs with int8 dot products",
    "faithful": "ONNX, 8-bit weights: nearly lossless, alike on every CPU",
    "portable": "ONNX, 8-bit weights, fp32 once they are loaded: the same results on every machine and in browsers",
    "searched": "ONNX, the quickest mix of precisions inside a budget of quality",
    "fp16": "ONNX, half precision, for GPUs",
}

STUDENTS = {
    "fast": "The int8 student",
    "faithful": "The near-lossless 8-bit student",
    "searched": "The student in mixed precision",
    "portable": "The student with 8-bit weights",
    "fp32": "The student in full precision",
}


def metric_words(metric: str, kind: str = "") -> str:
    """The metric's name for people; `kind` is the task that it was computed on."""
    return known(OF_TASK.get(kind, {}).get(metric) or METRICS.get(metric, metric.replace("_", " ")))


def pair_words(languages: tuple[str, str]) -> str:
    """The languages of a set: ("en", "ko") -> `en – ko`."""
    return languages[0] if languages[0] == languages[1] else f"{languages[0]} – {languages[1]}"


def output_words(task: str) -> str:
    """What a model of a task gives, for which it is timed."""
    return tell("logits") if task in LABELLED else tell("sentence embedding")


def percent(share: float | None) -> str:
    """0.981 -> `98.1 %`; `98.1%` in Korean."""
    return MISSING if share is None else f"{100 * share:.1f}{'' if spoken() == 'ko' else ' '}%"


def points(value: float | None) -> str:
    """A quality of 0..1 in points of 100: 0.8203 -> `82.03`."""
    return MISSING if value is None else f"{100 * value:.2f}"


def signed(value: float | None) -> str:
    """A difference of qualities in points of 100: -0.0191 -> `-1.91`, 0.01 -> `+1.00`, 0 -> `0.00`."""
    if value is None:
        return MISSING
    return "0.00" if abs(value) < 0.00005 else f"{100 * value:+.2f}"


def detail(value: float | None) -> str:
    """A further metric: points of 100 for shares, counts and distances as they are."""
    return points(value) if value is None or abs(value) <= 1 else figure(value)


def span(low: str, high: str) -> str:
    """Two ends: `80.0–84.0`; `80.0~84.0` in Korean. A minus needs words between."""
    if spoken() == "ko":
        return f"{low} ~ {high}" if "-" in low + high else f"{low}~{high}"
    return f"{low} to {high}" if "-" in low + high else f"{low}–{high}"


def interval(ci95: tuple[float, float] | None) -> str:
    """(0.80, 0.84) -> `(80.0–84.0)`."""
    return "" if ci95 is None else f"({span(f'{100 * ci95[0]:.1f}', f'{100 * ci95[1]:.1f}')})"


def signed_interval(ci95: tuple[float, float] | None) -> str:
    """(-0.03, 0.01) -> `(-3.00 to +1.00)`."""
    return "" if ci95 is None else f"({span(signed(ci95[0]), signed(ci95[1]))})"


def chance(p: float | None) -> str:
    """A p-value: `0.032`, `< 0.001`."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def figure(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits and no exponent: 1.5234 -> `1.52`, 90.9 -> `90.9`."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 8)}f}"


def small(value: float | None) -> str:
    """An error bound: 0.0000012 -> `1.2e-06`."""
    return MISSING if value is None else f"{value:.1e}"


def whole(value: float | None) -> str:
    """12345 -> `12,345`."""
    return MISSING if value is None else f"{value:,.0f}"


def millions(value: int | None) -> str:
    """22713216 -> `22.7M`, in Korean `2,271만`; 9000 -> `9,000`."""
    if value is None:
        return MISSING
    if value < 100_000:
        return whole(value)
    return f"{value / 1e4:,.0f}만" if spoken() == "ko" else f"{value / 1e6:.1f}M"


def duration(seconds: float | None) -> str:
    """312.4 -> `5 min 12 s`, in Korean `5분 12초`."""
    if seconds is None:
        return MISSING
    second, minute, hour = ("초", "분", "시간") if spoken() == "ko" else (" s", " min", " h")
    if seconds < 10:
        return f"{seconds:.1f}{second}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{hours}{hour}" if hours else "",
        f"{minutes}{minute}" if minutes else "",
        f"{rest}{second}" if rest and not hours else "",
    ]
    return " ".join(part for part in parts if part)


def ratio(value: float | None) -> str:
    """5.31 -> `5.3×`, in Korean `5.3배`."""
    return MISSING if value is None else f"{value:.1f}{'배' if spoken() == 'ko' else '×'}"


def compared(value: float, more: str, less: str) -> str:
    """5.31 -> `5.3 times smaller`; 0.5 -> `2.0 times larger`."""
    return f"{value:.1f} times {more}" if value >= 0.995 else f"{1 / value:.1f} times {less}"


def kept(headline: Headline) -> str | None:
    """What the best file keeps of the teacher, as a clause; None where it is unknown."""
    if headline.retained is None:
        return None
    metric = metric_words(headline.metric, headline.kind)
    if headline.task == "agreement":
        return f"agrees with the teacher to {percent(headline.retained)} ({metric}, held-out text)"
    return f"keeps {percent(headline.retained)} of the teacher's quality ({metric}, {headline.task})"


def public_name(name: str) -> str:
    """A model or source as others may read it: of a path outside the working folder the last part alone."""
    return name.rstrip("/").rpartition("/")[2] if name.startswith(("/", "~", "..")) else name


def public_names(value: Any) -> Any:
    """A recipe as others may read it: every path outside the working folder cut to its last part."""
    if isinstance(value, dict):
        return {key: public_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [public_names(item) for item in value]
    return public_name(value) if isinstance(value, str) else value


def summary(headline: Headline) -> str:
    """The headline as one plain sentence (two in Korean)."""
    if headline.best is None:
        return tell("No exported file passed its gate.")
    who = known(STUDENTS[headline.best]) if headline.best in STUDENTS else tell("The file '{name}'", name=headline.best)
    if spoken() == "ko":
        metric = metric_words(headline.metric, headline.kind)
        return clauses(who, headline, metric, percent(headline.retained))
    gains = [
        compared(headline.smaller, "smaller", "larger") if headline.smaller else "",
        compared(headline.faster, "faster", "slower") if headline.faster else "",
    ]
    gained = " and ".join(gain for gain in gains if gain)
    told = " and ".join(clause for clause in (kept(headline), f"is {gained}" if gained else None) if clause)
    return f"{who} {told or 'passed its gate; nothing could be compared with the teacher'}."


def verdict(report: Report) -> str:
    """One sentence on the gates."""
    failed = [gate.model for gate in report.gates if not gate.passed]
    if failed:
        return tell("Failed its parity gate: {names}.", names=", ".join(failed))
    if not report.gates:
        return tell("No exported file was checked.")
    return tell("Every exported file passed its parity gate ({n} of {n}).", n=len(report.gates))


def describe(model: Model) -> str:
    """What a variant is."""
    return known(PRESETS[model.name]) if model.name in PRESETS else f"{model.format}, {model.role}"
