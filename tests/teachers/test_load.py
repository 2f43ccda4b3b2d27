import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from sentence_transformers import SentenceTransformer

from distill.errors import ModelError
from teachers.load import Teacher, as_teacher, load_encoder, load_teacher
from teachers.spec import TeacherSpec

TEXTS = ["A dog runs.", "The old man is reading a book in the morning.", "비를 기다린다", ""]


def vectors(folder: Path, texts: list[str]) -> np.ndarray:
    """What the library itself gives."""
    return SentenceTransformer(str(folder), device="cpu").encode(texts)


def test_a_teacher_gives_what_its_model_gives_in_order(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m")
    teacher = load_teacher(TeacherSpec(model=str(folder)))
    assert (teacher.dim, teacher.max_length, teacher.normalizes, teacher.prompt) == (32, 64, True, "")
    assert teacher.provides() == {"embedding"}
    got = teacher.embed(TEXTS, batch_size=2)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, vectors(folder, TEXTS), atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert as_teacher(tiny.sentence_transformer()).embed([]).shape == (0, 32)


def test_a_signal_is_the_embedding_of_one_batch() -> None:
    teacher = as_teacher(tiny.sentence_transformer())
    signal = teacher.signal(TEXTS)
    assert signal.embedding is not None
    assert not signal.embedding.requires_grad
    np.testing.assert_allclose(signal.embedding.numpy(), teacher.embed(TEXTS), atol=1e-6)
    assert signal.attention_mask is not None
    assert signal.attention_mask.sum(1).tolist() == [len(teacher.tokenizer(text)["input_ids"]) for text in TEXTS]


def test_a_half_precision_checkpoint_is_loaded_in_fp32(tmp_path: Path) -> None:
    tiny.sentence_transformer(dim=16).half().save_pretrained(str(tmp_path / "half"), create_model_card=False)
    encoder = load_encoder(str(tmp_path / "half"))
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    assert not encoder.training


def test_a_plain_encoder_is_averaged_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tiny.write_encoder(tmp_path / "plain")
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(str(folder))
    assert "mean" in caplog.text
    tokens = encoder.tokenizer(["A dog runs."], return_tensors="pt")
    with torch.no_grad():
        states = encoder.transformers_model(**tokens).last_hidden_state
    np.testing.assert_allclose(encoder.encode(["A dog runs."])[0], states[0].mean(0).numpy(), atol=1e-5)
    assert not as_teacher(encoder).normalizes


@pytest.mark.parametrize(
    ("prompt", "text"),
    [(None, "passage: "), ("query", "query: "), ("passage", "passage: "), ("search: ", "search: "), ("", ""), ("document", "")],
)
def test_prompts_are_names_or_text(prompt: str | None, text: str) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    model = tiny.sentence_transformer(prompts=prompts, default_prompt_name="passage")
    teacher = Teacher(model, "tiny", prompt)
    assert teacher.prompt == text
    plain = tiny.sentence_transformer()
    np.testing.assert_allclose(teacher.embed(["A dog runs."]), plain.encode([text + "A dog runs."]), atol=1e-6)


def test_a_prompt_name_without_text_is_an_error_not_an_empty_prompt() -> None:
    with pytest.raises(ModelError, match="no text for its prompt 'query'"):
        Teacher(tiny.sentence_transformer(), "tiny", "query")


def test_max_length_truncates_and_is_capped_by_the_positions(tmp_path: Path) -> None:
    folder = str(tiny.saved(tmp_path / "m"))
    long = " ".join(["dog"] * 200)
    short = load_teacher(TeacherSpec(model=folder, max_length=8))
    assert short.max_length == 8
    assert short.signal([long]).attention_mask.shape == (1, 8)  # type: ignore[union-attr]
    assert load_encoder(folder).encode([long]).shape == (1, 32)
    with pytest.raises(ModelError, match=r"(?s)got:      65.*at most 64"):
        load_encoder(folder, max_length=65)


@pytest.mark.parametrize(("family", "limit"), [("roberta", 65), ("mpnet", 64), ("distilbert", 64)])
def test_every_position_up_to_the_limit_works(tmp_path: Path, family: str, limit: int) -> None:
    folder = str(tiny.saved(tmp_path / "m", family))
    encoder = load_encoder(folder, max_length=limit)
    assert np.isfinite(encoder.encode([" ".join(["dog"] * 200)])).all()
    with pytest.raises(ModelError, match=f"at most {limit}"):
        load_encoder(folder, max_length=limit + 1)


def test_the_hub_out_of_reach_is_a_users_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hub cannot be reached") as caught:
        load_encoder("nobody-here/no-such-model")
    assert caught.value.exit_code == 2
    assert caught.value.hint is not None


def test_truncated_weights_are_a_clear_error(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_encoder(str(folder))


def test_as_teacher_leaves_a_half_precision_object_alone() -> None:
    model = tiny.sentence_transformer().half()
    teacher = as_teacher(model, "mine")
    assert teacher.name == "mine"
    assert as_teacher(teacher) is teacher
    assert {weight.dtype for weight in model.parameters()} == {torch.float16}
    assert {weight.dtype for weight in teacher.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_teaches(family: str, tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "m", family)
    got: Any = load_teacher(TeacherSpec(model=str(folder))).embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    assert abs(got[0] @ got[1]) < 0.999
