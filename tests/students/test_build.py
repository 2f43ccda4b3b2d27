import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from distill.errors import ModelError
from students.build import Student, build_student, save_student
from students.load import load
from students.spec import LayersSpec

TEXTS = tiny.SENTENCES[:12]


def build(
    source: Any, *, dim: int = 32, normalizes: bool = True, prompt: str = "", length: int = 64, seed: int = 1, **spec: Any
) -> Student:
    return build_student(
        LayersSpec(**{"layers": 2, **spec}),
        source,
        teacher_dim=dim,
        teacher_normalizes=normalizes,
        teacher_prompt=prompt,
        max_length=length,
        seed=seed,
    )


def kinds(student: Student) -> list[str]:
    return [type(module).__name__ for module in student.model]


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_equal_widths_need_no_bridge() -> None:
    student = build(tiny.sentence_transformer(), projection="keep")
    assert (student.projection, student.bridge, student.layers, student.source_layers, student.dim) == (
        "none",
        None,
        [0, 3],
        4,
        32,
    )
    assert kinds(student) == ["Transformer", "Pooling", "Normalize"]


def test_a_dropped_bridge_stays_outside() -> None:
    student = build(tiny.sentence_transformer(), dim=48, projection="drop")
    assert (student.projection, student.dim) == ("drop", 32)
    assert student.bridge is not None
    assert tuple(student.bridge.weight.shape) == (48, 32)
    assert kinds(student) == ["Transformer", "Pooling", "Normalize"]


def test_a_kept_bridge_is_part_of_the_student_and_keeps_angles() -> None:
    source = tiny.sentence_transformer()
    student = build(source, dim=48, projection="keep")
    plain = build(source)
    assert (student.projection, student.bridge, student.dim) == ("keep", None, 48)
    assert kinds(student) == ["Transformer", "Pooling", "Dense", "Normalize"]
    got = student.model.encode(TEXTS)
    assert got.shape == (12, 48)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(cosines(got), cosines(plain.model.encode(TEXTS)), atol=1e-5)


def test_a_wide_start_model_is_mapped_down() -> None:
    assert build(tiny.sentence_transformer(), dim=8, projection="keep").model.encode(TEXTS).shape == (12, 8)


def test_the_bridge_depends_on_the_seed_alone() -> None:
    source = tiny.sentence_transformer()
    torch.manual_seed(5)
    first = build(source, dim=48, seed=1)
    state = torch.random.get_rng_state()
    second = build(source, dim=48, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    third = build(source, dim=48, seed=2)
    assert first.bridge is not None
    assert second.bridge is not None
    assert third.bridge is not None
    assert torch.equal(first.bridge.weight, second.bridge.weight)
    assert not torch.equal(first.bridge.weight, third.bridge.weight)


@pytest.mark.parametrize("source_normalizes", [True, False])
@pytest.mark.parametrize("teacher_normalizes", [True, False])
def test_the_student_ends_as_the_teacher_does(source_normalizes: bool, teacher_normalizes: bool, tmp_path: Path) -> None:
    student = build(tiny.sentence_transformer(normalize=source_normalizes), normalizes=teacher_normalizes)
    assert kinds(student).count("Normalize") == int(teacher_normalizes)
    save_student(student.model, tmp_path / "s")
    lengths = np.linalg.norm(load(tmp_path / "s").encode(TEXTS), axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) == teacher_normalizes


def test_the_teachers_prompt_is_applied_by_default_and_after_loading(tmp_path: Path) -> None:
    source = tiny.sentence_transformer(prompts={"query": "old: "}, default_prompt_name="query")
    student = build(source, prompt="passage: ")
    bare = build(tiny.sentence_transformer())
    expected = bare.model.encode(["passage: " + text for text in TEXTS])
    save_student(student.model, tmp_path / "s")
    again = load(tmp_path / "s")
    for vectors in (student.model.encode(TEXTS), again.encode(TEXTS), again.encode_query(TEXTS), again.encode_document(TEXTS)):
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    none = build(source, prompt="")
    np.testing.assert_allclose(none.model.encode(TEXTS), bare.model.encode(TEXTS), atol=1e-6)


def test_pooling_counts_the_prompt_because_the_exported_graph_must() -> None:
    source = tiny.sentence_transformer()
    source.set_pooling_include_prompt(False)
    assert build(source, prompt="passage: ").model[1].include_prompt is True
    assert source[1].include_prompt is False


@pytest.mark.parametrize(("asked", "teacher", "expected"), [(None, 16, 16), (None, 500, 64), (40, 16, 40), (64, 16, 64)])
def test_the_longest_input(asked: int | None, teacher: int, expected: int) -> None:
    assert build(tiny.sentence_transformer(), length=teacher, max_length=asked).model.max_seq_length == expected


def test_an_input_beyond_the_positions_is_refused() -> None:
    with pytest.raises(ModelError, match=r"(?s)student\.max_length.*65.*at most 64"):
        build(tiny.sentence_transformer(), max_length=65)


def test_too_many_layers_and_no_transformer() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    with pytest.raises(ModelError, match=r"(?s)student\.layers.*got:      9.*at most 4"):
        build(tiny.sentence_transformer(), layers=9)
    static = SentenceTransformer(modules=[StaticEmbedding(tiny.tokenizer(), embedding_dim=8)], device="cpu")
    with pytest.raises(ModelError, match=r"(?s)first module is a transformer.*StaticEmbedding"):
        build(static)


def test_the_start_model_is_left_as_it_is() -> None:
    source = tiny.sentence_transformer(prompts={"query": "old: "}, default_prompt_name="query").requires_grad_(False)
    weights = copy.deepcopy(source.state_dict())
    student = build(source, dim=48, projection="keep", normalizes=False, prompt="new: ", length=16)
    assert all(weight.requires_grad for weight in student.model.parameters())
    with torch.no_grad():
        for weight in student.model.parameters():
            weight.zero_()
    assert all(torch.equal(weights[key], value) for key, value in source.state_dict().items())
    assert [type(module).__name__ for module in source] == ["Transformer", "Pooling", "Normalize"]
    assert (source.max_seq_length, source.prompts["query"], source.default_prompt_name) == (64, "old: ", "query")


def test_a_truncating_start_model_gives_its_whole_width() -> None:
    source = tiny.sentence_transformer()
    source.truncate_dim = 8
    assert build(source, dim=8, projection="drop").dim == 32


@pytest.mark.parametrize(
    ("own", "teacher", "projection", "place"),
    [
        (None, 48, "keep", 2),
        (None, 48, "drop", None),
        (None, 32, "keep", None),
        (24, 48, "keep", 3),  # the start model's own Dense comes first
        (24, 48, "drop", None),
        (24, 24, "keep", None),
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_below_the_bridge_lies_the_start_models_space(
    own: int | None, teacher: int, projection: str, place: int | None, normalize: bool
) -> None:
    """Its vectors are those of the start model's cut, whatever the teacher's width and end."""
    source = tiny.sentence_transformer(dim=own, normalize=normalize)
    student = build(source, dim=teacher, projection=projection, length=16)
    assert student.bridge_place() == place
    below = student.below_bridge(normalize=normalize)
    names = ["Transformer", "Pooling"] + ["Dense"] * (own is not None) + ["Normalize"] * normalize
    assert [type(module).__name__ for module in below] == names
    assert below.max_seq_length == 16
    expected = build(source, dim=own or 32, normalizes=normalize, length=16).model.encode(TEXTS)
    np.testing.assert_allclose(below.encode(TEXTS), expected, atol=1e-6)


def test_what_is_trained_below_the_bridge_is_trained_in_the_student() -> None:
    student = build(tiny.sentence_transformer(), dim=48, projection="keep")
    below = student.below_bridge(normalize=True)
    ours = {id(weight) for weight in student.model.parameters()}
    assert {id(weight) for weight in below.parameters()} < ours
    assert len(ours) - len(list(below.parameters())) == 2  # the bridge's weight and bias
    assert kinds(student) == ["Transformer", "Pooling", "Dense", "Normalize"]
