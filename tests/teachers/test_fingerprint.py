import json
from pathlib import Path

import pytest
import tiny
import torch
from tokenizers import AddedToken

from teachers.fingerprint import tokenizer_sha256
from teachers.load import Teacher, as_teacher, load_teacher
from teachers.spec import TeacherSpec


def test_the_same_model_in_two_places_has_one_fingerprint(tmp_path: Path) -> None:
    first = load_teacher(TeacherSpec(model=str(tiny.saved(tmp_path / "a")))).fingerprint()
    second = load_teacher(TeacherSpec(model=str(tiny.saved(tmp_path / "b")))).fingerprint()
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert str(tmp_path) not in json.dumps(first)


def test_use_does_not_change_it() -> None:
    teacher = as_teacher(tiny.sentence_transformer())
    before = teacher.fingerprint()
    teacher.tokenizer(["a", "b c"], padding="max_length", truncation=True, max_length=9)
    teacher.embed(tiny.SENTENCES[:5])
    assert teacher.fingerprint() == before


@pytest.mark.parametrize("change", ["weight", "prompt", "length", "pooling", "normalize", "tokenizer", "config"])
def test_everything_that_changes_vectors_changes_it(change: str) -> None:
    base = as_teacher(tiny.sentence_transformer()).fingerprint()
    model = tiny.sentence_transformer(pooling="cls" if change == "pooling" else "mean", normalize=change != "normalize")
    if change == "weight":
        with torch.no_grad():
            next(iter(model.parameters()))[5, 5] += 1e-6
    elif change == "length":
        model.max_seq_length = 32
    elif change == "tokenizer":
        model.tokenizer.add_tokens([AddedToken("dogs")])
    elif change == "config":
        model.transformers_model.config.layer_norm_eps = 1e-3
    assert Teacher(model, "other", "query: " if change == "prompt" else None).fingerprint() != base


def test_tokenizer_ids_agree_where_tokenizers_do() -> None:
    one, two = tiny.sentence_transformer("bert"), tiny.sentence_transformer("mpnet")
    assert tokenizer_sha256(one) == tokenizer_sha256(two)
    two.tokenizer.add_tokens([AddedToken("dogs")])
    assert tokenizer_sha256(one) != tokenizer_sha256(two)
