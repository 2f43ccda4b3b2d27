"""A teacher that knows English alone, a student that learns to put translations where the teacher puts the original."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import tiny

import distill

WHO = ["young woman", "old man", "teacher", "doctor", "committee", "neighbour", "dog"]
DOES = ["reading a book", "walks slowly", "cooks rice", "plays the guitar", "repairs a bicycle"]
WHERE = ["in the morning", "near the river", "after a long day", "because of the heavy rain"]
NOUNS = ["학생", "의사", "고양이", "기차", "시장", "정부", "작가"]
VERBS = ["도서관에서 책을 읽는다", "공원을 천천히 걷는다", "새로운 계획을 발표했다", "비를 기다린다", "저녁을 준비한다"]
TIMES = ["오늘 아침", "어젯밤", "주말에는", "비가 오는 날"]
GERMAN = ["qa", "qe", "qi", "qo", "qu", "qy", "qx"]

ENGLISH = [f"the {who} {does} {where}" for who, does, where in itertools.product(WHO, DOES, WHERE)]
KOREAN = [f"{time} 그 {noun}은 {verb}" for noun, verb, time in itertools.product(NOUNS, VERBS, TIMES)]
"""Row by row a translation: word for word, in another order."""


EPOCHS = 20


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on 140 English-Korean pairs, and 28 rows of a third language; the run folder and where the teacher lies."""
    folder = tmp_path_factory.mktemp("multilingual")
    tiny.saved(folder / "teacher", layers=2, hidden=32)
    tiny.saved(folder / "start", layers=2, hidden=32, seed=1)
    (folder / "en-ko.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(ENGLISH, KOREAN, strict=True)), encoding="utf-8")
    third = [(text, " ".join(GERMAN[len(word) % 7] for word in text.split()) + f" {row}") for row, text in enumerate(ENGLISH)]
    (folder / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in third[::5]), encoding="utf-8")
    recipe = {
        "name": "multilingual",
        "teacher": {"model": str(folder / "teacher")},
        "data": {
            "parallel": [
                {"source": str(folder / "en-ko.tsv"), "languages": ["en", "ko"], "columns": [0, 1]},
                {"source": str(folder / "en-de.tsv"), "languages": ["en", "de"], "columns": [0, 1]},
            ],
            "language_temperature": 3,
            "dev": {"share": 0.2},
        },
        "student": {"from": str(folder / "start"), "layers": [0, 1]},
        "stages": [
            {
                "losses": ["embedding_cosine", {"name": "embedding_contrastive", "weight": 0.3}],
                "epochs": EPOCHS,
                "batch_size": 32,
                "learning_rate": 3e-3,
            }
        ],
        "train": {"precision": "fp32", "patience": None, "evaluate_every": 5, "select_by": "translation_accuracy"},
        "export": {"presets": ["fp32"]},
        "measure": {"batch": [1], "sequence": [32], "min_runs": 3, "min_seconds": 0},
    }
    distill.run(recipe, out=folder / "run")
    return folder / "run", folder / "teacher"


def dev_lines(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["dev"] for line in lines if "dev" in line]


def facts_of(folder, stage):
    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    return next(part["facts"] for part in stages if part["name"] == stage)


def test_held_out_translations_are_found(trained):
    """Chance is 1 in as many pairs as are held out."""
    folder, _ = trained
    curve = [line["translation_accuracy_en-ko"] for line in dev_lines(folder)]
    pairs = json.loads((folder / "data" / "counts.json").read_text())["counts"]["dev"] // 3
    assert pairs > 10
    assert max(curve) > 0.5
    assert max(curve) > 2 * curve[0]


def test_dev_curves_are_told_for_every_language(trained):
    folder, _ = trained
    for language in ("en", "ko"):
        curve = [line[f"agreement_spearman_{language}"] for line in dev_lines(folder)]
        assert curve[-1] > curve[0]


def test_an_epoch_is_as_long_whatever_the_temperature(trained):
    """A language of 28 rows among 308 counts for more; the others for as much less."""
    import pyarrow.parquet as pq

    folder, _ = trained
    languages = pq.read_table(folder / "data" / "train.parquet")["language"].to_pylist()
    assert languages.count("de") < 0.11 * len(languages)
    assert facts_of(folder, "training")["stages"][0]["planned_steps"] == EPOCHS * math.ceil(len(languages) / 32)


def test_the_report_compares_with_what_the_teacher_says_of_the_original(trained):
    """Of the translation itself the teacher knows nothing."""
    import pyarrow.parquet as pq

    folder, teacher = trained
    rows = pq.read_table(folder / "predictions" / "agreement" / "student.parquet").to_pydict()
    goals = dict(zip(KOREAN, ENGLISH, strict=True))
    korean = [row for row, text in enumerate(rows["sentence"]) if text in goals]
    assert korean
    assert all(rows["teacher_sentence"][row] == goals[rows["sentence"][row]] for row in korean)
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(teacher), device="cpu").encode(rows["teacher_sentence"])
    ours = SentenceTransformer(str(folder / "student"), device="cpu").encode(rows["sentence"])
    cosines = (reference * ours).sum(1) / np.linalg.norm(reference, axis=1) / np.linalg.norm(ours, axis=1)
    np.testing.assert_allclose(cosines, rows["cosine_to_teacher"], atol=1e-4)


def test_the_teacher_reads_each_original_once(trained):
    folder, _ = trained
    facts = facts_of(folder, "signals")
    assert facts["computed"] + facts["reused"] == len(ENGLISH)
