"""The parts of the report that are pairs of name and value, and the code that shows how to use the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .schema import Report
from .tables import facts, losses_of, sources_of
from .usage import node_usage, task_usage
from .words import LABELLED, MISSING, duration, figure, known, metric_words, millions, public_name, tell, whole

Pairs = tuple[tuple[str, str], ...]
LINK = {
    "keep": "kept in the student: its vectors live in the teacher's space",
    "drop": "used for training alone",
    "none": "none: the widths agree",
}


def model_facts(report: Report) -> Pairs:
    """Teacher and student, side by side in words."""
    teacher, student = report.teacher, report.student
    layers = student.layers
    kept = tell("{layers} of {n}", layers=", ".join(map(str, layers)), n=student.source_layers or "?") if layers else None
    return facts(
        [
            (tell("Teacher"), public_name(teacher.model or _recipe(report, "teacher", "model") or MISSING)),
            (tell("Teacher fine-tuned in this run"), _finetuned(report)),
            (tell("Teacher layers"), whole(teacher.layers)),
            (tell("Teacher width"), whole(teacher.dim)),
            (tell("Teacher parameters"), _params(teacher.params, teacher.embedding_params)),
            (tell("Longest input"), tell("{n} tokens", n=teacher.max_length) if teacher.max_length else None),
            (tell("Prompt"), repr(teacher.prompt) if teacher.prompt else None),
            (
                tell("Unit-length vectors"),
                None if teacher.normalizes is None else tell("yes") if teacher.normalizes else tell("no"),
            ),
            (tell("Student made from"), known(public_name(_recipe(report, "student", "from") or MISSING))),
            (tell("Layers kept (from 0)"), kept),
            (tell("Student width"), whole(student.dim)),
            (tell("Student parameters"), _params(student.params, student.embedding_params)),
            (tell("Linear bridge"), known(LINK[student.projection]) if student.projection in LINK else student.projection),
        ]
    )


def data_facts(report: Report) -> Pairs:
    """What was read, dropped and kept."""
    data, signals = report.data, report.signals
    return facts(
        [
            (tell("Training text"), sources_of(report.recipe)),
            (tell("Sentences read"), whole(data.read)),
            (tell("Used for training"), whole(data.train)),
            (tell("Held out (dev)"), whole(data.dev)),
            (tell("Duplicates dropped"), whole(data.duplicates)),
            (tell("Removed: also in an evaluation set"), whole(data.removed_evaluation)),
            (tell("Removed: also in dev"), whole(data.removed_dev) if data.removed_dev else None),
            (tell("Dev rows known in part (eight words in a row)"), whole(data.known_dev) if data.known_dev else None),
            (
                tell("Evaluation rows known in part (eight words in a row)"),
                whole(data.known_evaluation) if data.known_evaluation else None,
            ),
            (tell("Made by augmentation, among those used"), whole(data.augmented) if data.augmented else None),
            (
                tell("Too short / too long"),
                f"{whole(data.too_short)} / {whole(data.too_long)}" if data.too_short is not None else None,
            ),
            (tell("Malformed rows skipped"), whole(data.bad_rows)),
            (
                tell("Queries without a relevant document, left out"),
                whole(data.unjudged_queries) if data.unjudged_queries else None,
            ),
            (tell("Fit texts that are also tested, left out"), whole(data.fit_in_test) if data.fit_in_test else None),
            (tell("Labels"), _labels(report)),
            (tell("Labelled by the teacher in this run"), whole(signals.computed)),
            (tell("Labels reused from the store"), whole(signals.reused)),
            (tell("Losses"), losses_of(report.recipe)),
        ]
    )


def cost_facts(report: Report) -> Pairs:
    """Time and memory the run took, stage by stage."""
    cost = report.cost
    return facts(
        [
            (tell("Sentences through the teacher or its store"), whole(cost.teacher_sentences)),
            (tell("Training time"), duration(cost.train_seconds)),
            (tell("Total time"), duration(cost.total_seconds)),
            (tell("Peak memory of training"), f"{whole(cost.peak_rss_mb)} MB" if cost.peak_rss_mb else None),
            (tell("Time per stage"), ", ".join(f"{known(stage.name)} {duration(stage.seconds)}" for stage in report.stages)),
        ]
    )


def environment_facts(report: Report) -> Pairs:
    """The machine and the packages the numbers hold for."""
    values = {key: value for key, value in report.environment.items() if key != "packages"}
    packages = report.environment.get("packages") or {}
    pairs: list[tuple[str, str | None]] = [(_title(key), _plain(value)) for key, value in values.items()]
    pairs.append((tell("Packages"), ", ".join(f"{name} {version}" for name, version in packages.items())))
    pairs.append(("distill-toolkit", report.toolkit))
    pairs.append((tell("Seed"), None if report.seed is None else str(report.seed)))
    return facts([*pairs, (tell("Run started"), report.created)])


def usage(report: Report, folder: str = "student") -> list[tuple[str, str, str]]:
    """How to load the result: (title, language, code).

    Args:
        folder: the student's folder, as the code should name it.
    """
    prompt = report.teacher.prompt or ""
    best = report.model(report.headline.best)
    file = "onnx/model.onnx" if best is None or best.path is None else best.path.rpartition("student/")[2]
    if report.task in LABELLED:
        return task_usage(report, folder, file)
    call = '["A cat sits on the mat.", "The weather is fine."]'
    inputs = f"[{prompt!r} + text for text in texts]" if prompt else "texts"
    return [
        (
            tell("Python, with sentence-transformers (PyTorch)"),
            "python",
            f"from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({folder!r})\n"
            f"vectors = model.encode({call})",
        ),
        (
            tell("Python, with distill-toolkit (no torch)"),
            "python",
            f"import distill\n\nencoder = distill.load({folder!r})  # precision='auto': the quickest file this CPU runs well\n"
            f"vectors = encoder.encode({call})",
        ),
        (
            tell("Python, with onnxruntime alone"),
            "python",
            "import json\n\nimport numpy as np\nimport onnxruntime as ort\nfrom tokenizers import Tokenizer\n\n"
            f"folder, texts = {folder!r}, {call}\n"
            'tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")\n'
            'tokenizer.enable_truncation(json.load(open(f"{folder}/sentence_bert_config.json"))["max_seq_length"])\n'
            'tokenizer.enable_padding(pad_id=json.load(open(f"{folder}/config.json")).get("pad_token_id") or 0)\n'
            f'session = ort.InferenceSession(f"{{folder}}/{file}", providers=["CPUExecutionProvider"])\n'
            f"rows = tokenizer.encode_batch({inputs})\n"
            'columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}\n'
            "feeds = {node.name: np.array([getattr(row, columns[node.name]) for row in rows], dtype=np.int64)\n"
            "         for node in session.get_inputs()}\n"
            'vectors = session.run(["sentence_embedding"], feeds)[0]',
        ),
        node_usage(report, folder, file),
    ]


def reproduce(report: Report) -> str:
    """Commands that make the run again, in the run folder: the recipe there holds the seed and everything that was chosen."""
    version = f"=={report.toolkit}" if report.toolkit and report.toolkit[0].isdigit() else ""
    return f"pip install 'distill-toolkit[train]{version}'\ndistill run recipe.yaml --out again"


def _labels(report: Report) -> str | None:
    """The labels, where the data stage or the recipe names them; of many the first twenty."""
    section = report.recipe.get("data")
    names = getattr(report.data, "labels", None) or (section.get("labels") if isinstance(section, Mapping) else None)
    if not isinstance(names, (list, tuple)) or not names:
        return None
    return ", ".join(map(str, names[:20])) + (tell(" and {n} more", n=len(names) - 20) if len(names) > 20 else "")


def _finetuned(report: Report) -> str | None:
    """How the run trained its teacher, stage by stage, and where that lies."""
    told = []
    for stage in report.finetune.stages:
        facts = stage.model_dump()
        words = [f"{whole(facts[name])} {known(name)}" for name in ("rows", "steps") if facts.get(name)]
        if stage.seconds is not None:
            words.append(duration(stage.seconds))
        if stage.best_value is not None:
            words.append(
                tell("best {metric} {value}", metric=metric_words(stage.select_by or "dev"), value=figure(stage.best_value))
            )
        told.append(f"{facts.get('objective') or stage.name} ({', '.join(words)})")
    if not told:
        return None
    return tell("; then ").join(told) + (tell("; it lies in {path}/", path=report.finetune.path) if report.finetune.path else "")


def _params(total: int | None, embedding: int | None) -> str:
    if total is None or embedding is None:
        return millions(total)
    return tell(
        "{total} ({embedding} embeddings, {encoder} encoder)",
        total=millions(total),
        embedding=millions(embedding),
        encoder=millions(total - embedding),
    )


def _recipe(report: Report, part: str, key: str) -> str | None:
    section = report.recipe.get(part)
    value = section.get(key) if isinstance(section, Mapping) else None
    return None if value is None else str(value)


def _title(key: str) -> str:
    titles = {
        "cpu": "CPU",
        "os": "System",
        "flags": "CPU flags",
        "memory_gb": "Memory GB",
        "load_before": "Load before",
        "load_after": "Load after",
    }
    return known(titles.get(key, key.replace("_", " ").capitalize()))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or MISSING
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or MISSING
    if isinstance(value, bool):
        return tell("yes") if value else tell("no")
    if isinstance(value, float):
        return figure(value) if abs(value) < 1000 else whole(value)
    return MISSING if value is None else str(value)
