"""A static student from the teacher to an encoder without torch: distilled, trained, saved, exported, proved, measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from students.build import Student
from students.save import save_student
from students.static import build_static, distil_static

PRESETS = ("fp32", "fast", "faithful")
TRAIN, DEV = tiny.SENTENCES[:96], tiny.SENTENCES[200:232]
TEXTS = [*tiny.SENTENCES[240:270], "", " ".join(tiny.SENTENCES[:20]), "zzz"]


@pytest.fixture(scope="module")
def teacher() -> SentenceTransformer:
    return tiny.sentence_transformer(layers=2, hidden=32, dim=48)


def trained(teacher: SentenceTransformer, projection: str, home: Path) -> tuple[Student, dict]:
    from distill.recipe import Recipe, normalise
    from distill.train.engine import TrainingData, train_student

    stage = {"losses": ["embedding_cosine", "similarity_matrix"], "epochs": 4, "batch_size": 16, "learning_rate": 1e-2}
    recipe = Recipe.model_validate(
        normalise(
            {
                "name": "tiny",
                "teacher": "unused",
                "data": {"train": "unused.txt"},
                "student": {"kind": "static", "dim": 16, "projection": projection},
                "stages": [stage],
                "train": {"precision": "fp32", "patience": None, "dropout": None},
            }
        )
    )
    student = build_static(
        teacher,
        teacher_dim=48,
        teacher_normalizes=True,
        teacher_prompt="",
        max_length=40,
        dim=16,
        projection=projection,
        sif=1e-3,
    )
    train, dev = (teacher.encode(texts, show_progress_bar=False) for texts in (TRAIN, DEV))
    student.start_bridge(TRAIN, train)
    facts = train_student(
        recipe,
        student,
        TrainingData(TRAIN, DEV, lambda rows: train[rows], dev),
        teacher_normalizes=True,
        work=home / "work",
        log=home / "log.jsonl",
    )
    return student, facts


@pytest.fixture(scope="module", params=["drop", "keep"])
def exported(teacher, tmp_path_factory, request):
    """(student, folder, parity, losses): trained and exported, the bridge dropped or kept."""
    from distill.export.onnx import write_presets
    from distill.export.parity import check_parity

    home = tmp_path_factory.mktemp(request.param)
    student, _ = trained(teacher, request.param, home)
    folder = home / "student"
    save_student(student.model, folder)
    write_presets(student.model, folder, PRESETS, 20)
    parity = check_parity(student.model, folder, PRESETS, [*DEV, "", "zzz"])
    lines = [json.loads(line) for line in (home / "log.jsonl").read_text("utf-8").splitlines()]
    return student, folder, parity, [line["loss"] for line in lines if "loss" in line]


def test_training_lowers_the_loss(exported) -> None:
    losses = exported[3]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_training_is_deterministic(teacher, tmp_path: Path) -> None:
    first, second = (trained(teacher, "drop", tmp_path / name)[0].model for name in "ab")
    np.testing.assert_array_equal(first[0].embedding.weight.detach(), second[0].embedding.weight.detach())


def test_every_file_passes_its_gate(exported) -> None:
    models = exported[2]["models"]
    assert [name for name in PRESETS if models[name]["passed"]] == list(PRESETS)
    assert models["faithful"]["batch_invariance"] > 0.9999
    assert models["fast"]["nodes"]["Gather"] == 1


def test_the_graph_has_one_output_and_plain_operators(exported) -> None:
    student, folder = exported[:2]
    graph = onnx.load(folder / "onnx" / "model.onnx").graph
    assert [node.name for node in graph.input] == ["input_ids", "attention_mask"]
    assert [node.name for node in graph.output] == ["sentence_embedding"]
    assert graph.output[0].type.tensor_type.shape.dim[1].dim_value == student.dim
    sizes = {
        name: (folder / "onnx" / file).stat().st_size for name, file in (("fp32", "model.onnx"), ("fast", "model_quantized.onnx"))
    }
    assert sizes["fast"] < sizes["fp32"]


def test_sentence_transformers_loads_it(exported) -> None:
    student, folder = exported[:2]
    plain = SentenceTransformer(str(folder), device="cpu")
    assert type(plain[0]) is StaticEmbedding
    np.testing.assert_allclose(plain.encode(TEXTS), student.model.encode(TEXTS), atol=1e-6)


SCRIPT = """
import json, sys
import numpy as np
import distill
texts = json.loads(sys.argv[2])
vectors = distill.load(sys.argv[1], "fp32").encode(texts)
assert not {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
np.save(sys.argv[3], vectors)
"""


def test_without_torch_the_vectors_are_the_same(exported, tmp_path: Path) -> None:
    student, folder = exported[:2]
    out = tmp_path / "v.npy"
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder), json.dumps(TEXTS), str(out)], check=True, env=os.environ)
    np.testing.assert_allclose(np.load(out), student.model.encode(TEXTS), atol=1e-4)


def test_it_can_be_measured(exported) -> None:
    from distill.measure.inputs import random_batch, read_facts
    from distill.measure.models import load_onnx
    from distill.measure.size import file_mb

    student, folder = exported[:2]
    facts = read_facts(folder)
    assert facts.vocabulary == student.model[0].num_embeddings
    assert set(facts.special) == set(tiny.tokenizer().all_special_ids)
    assert file_mb(folder) > facts.vocabulary * 16 * 4 / 1e6
    batch = random_batch(3, 16, facts.vocabulary, facts.special)
    prepare = load_onnx(str(folder / "onnx" / "model.onnx"), 1).prepare
    assert np.asarray(prepare(batch)()).shape == (1, 3, student.dim)


TIMED = """
import sys
import numpy as np
from distill.measure.inputs import random_batch
from distill.measure.models import load_torch
prepare = load_torch(sys.argv[1], 1).prepare
np.save(sys.argv[2], prepare(random_batch(3, 16, 200, (0, 1, 2, 3, 4)))().numpy())
"""


def test_the_stopwatch_runs_it_in_torch(teacher, tmp_path: Path) -> None:
    import torch

    from distill.measure.inputs import random_batch

    model = distil_static(teacher, dim=8)
    save_student(model, tmp_path / "s")
    subprocess.run([sys.executable, "-c", TIMED, str(tmp_path / "s"), str(tmp_path / "v.npy")], check=True, env=os.environ)
    features = {name: torch.from_numpy(array) for name, array in random_batch(3, 16, 200, (0, 1, 2, 3, 4)).items()}
    with torch.no_grad():
        expected = model(features)["sentence_embedding"]
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-6)


def test_a_static_model_of_others_can_be_exported(tmp_path: Path) -> None:
    import distill

    theirs = SentenceTransformer(modules=[StaticEmbedding(tiny.tokenizer(), embedding_dim=16), Normalize()], device="cpu")
    theirs.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    parity = distill.export_onnx(tmp_path / "m", tmp_path / "out", presets=("fp32",))
    assert parity["models"]["fp32"]["passed"]
    np.testing.assert_allclose(distill.load(tmp_path / "out").encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)
