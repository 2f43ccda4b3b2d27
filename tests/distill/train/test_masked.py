"""Losses on masked tokens: what is masked, whose head predicts, and what is trained."""

from __future__ import annotations

import copy
import functools

import inner
import pytest
import tiny
import torch
from torch import nn
from transformers import AutoModelForMaskedLM

from distill.errors import ModelError
from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher
from distill.train.masked import MaskedLMLosses
from distill.train.objective import EmbeddingObjective

FAMILIES = ("bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert", "modernbert", "albert", "deberta-v2")
BOTH = ("mlm", "mlm_kl")


@functools.cache
def built(family):
    torch.manual_seed(1)
    return AutoModelForMaskedLM.from_config(tiny._config(family, 4, 32, 4, 64, len(tiny.tokenizer(family)))).eval()


def teacher_of(family="bert"):
    return copy.deepcopy(built(family))


def student_of(family="bert", **options):
    return tiny.sentence_transformer(family, **{"layers": 2, "seed": 3, **options})[0].auto_model


def listen(teacher=None, student=None, *losses, seed=0, family="bert"):
    stage = StageSpec.model_validate({"losses": [{"name": x} if isinstance(x, str) else x for x in losses or BOTH]})
    teacher = teacher_of(family) if teacher is None else teacher
    student = student_of(family) if student is None else student
    return MaskedLMLosses(teacher, student, tiny.tokenizer(family), stage.losses, seed)


def many_tokens(rows=300, length=64):
    """Ordinary pieces between [CLS] and [SEP], the last quarter of each row padded."""
    ids = torch.randint(5, len(tiny.tokenizer()), (rows, length), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, 47], ids[:, 48:] = 2, 3, 0
    mask = torch.ones_like(ids)
    mask[:, 48:] = 0
    return ids, mask


def test_shares_and_kinds_of_masked_tokens():
    ids, mask = many_tokens()
    read, labels = listen().mask(ids, mask, step=7)
    chosen = labels != -100
    ordinary = int((mask.bool() & (ids > 4)).sum())
    assert int(chosen.sum()) / ordinary == pytest.approx(0.15, abs=0.01)
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(read[~chosen], ids[~chosen])
    hidden, kept = read[chosen] == 4, read[chosen] == ids[chosen]
    other = ~hidden & ~kept
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float(kept.float().mean()) == pytest.approx(0.1, abs=0.025)
    assert float(other.float().mean()) == pytest.approx(0.1, abs=0.025)
    assert len(read[chosen][other].unique()) > 50  # any piece of the vocabulary


@pytest.mark.parametrize("probability", [0.05, 0.6])
def test_the_share_is_that_of_the_recipe(probability):
    ids, mask = many_tokens()
    _, labels = listen(None, None, "mlm_kl", {"name": "mlm", "probability": probability}).mask(ids, mask, step=0)
    assert int((labels != -100).sum()) / int((mask.bool() & (ids > 4)).sum()) == pytest.approx(probability, abs=0.02)


def test_special_and_padded_tokens_are_never_masked():
    losses = listen(None, None, {"name": "mlm", "probability": 0.99})
    ids = torch.tensor([[2, 40, 1, 41, 3, 50, 3, 0, 60, 61]])  # [CLS] .. [UNK] .. [SEP] .. [SEP] [PAD], then junk in padding
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 0, 0, 0]])
    for step in range(20):
        read, labels = losses.mask(ids, mask, step)
        fixed = torch.tensor([0, 2, 4, 6, 7, 8, 9])
        assert torch.equal(read[0, fixed], ids[0, fixed])
        assert (labels[0, fixed] == -100).all()


def test_seed_and_step_decide_alone():
    ids, mask = many_tokens(20)
    torch.manual_seed(1)
    one = listen(seed=4).mask(ids, mask, 9)
    torch.manual_seed(2)
    same = listen(seed=4).mask(ids, mask, 9)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    for seed, step in ((4, 10), (5, 9)):
        assert not torch.equal(listen(seed=seed).mask(ids, mask, step)[1], one[1])
    assert not torch.equal(listen(seed=4).mask(ids, mask, 9, part=1)[1], one[1])


def test_both_losses_by_hand():
    """Cross-entropy at the chosen tokens, and KL with T^2 at every real one, of an untouched copy of head and encoder."""
    teacher, student, batch = teacher_of(), student_of(), inner.features()
    losses = listen(teacher, student, {"name": "mlm", "weight": 2, "probability": 0.5}, {"name": "mlm_kl", "temperature": 3})
    found = losses(batch, 5, 0.0)
    read, labels = losses.mask(batch["input_ids"], batch["attention_mask"], 5)
    whole = copy.deepcopy(teacher)
    whole.bert = copy.deepcopy(student)
    whole.cls.predictions.decoder.weight = whole.bert.embeddings.word_embeddings.weight
    inputs = {**batch, "input_ids": read}
    with torch.no_grad():
        ours, theirs = whole(**inputs).logits, teacher(**inputs).logits
    chosen, real = labels != -100, batch["attention_mask"].bool()
    assert chosen.any()
    torch.testing.assert_close(found["mlm"], 2 * nn.functional.cross_entropy(ours[chosen], labels[chosen]))
    kl = nn.functional.kl_div(
        (ours[real] / 3).log_softmax(-1), (theirs[real] / 3).log_softmax(-1), log_target=True, reduction="batchmean"
    )
    torch.testing.assert_close(found["mlm_kl"], 9 * kl)


def test_the_schedule_of_a_weight():
    losses = listen(None, None, {"name": "mlm_kl", "weight_schedule": "linear_decay"}, {"name": "mlm", "probability": 0.5})
    first, later = (losses(inner.features(), 3, progress) for progress in (0.0, 0.75))
    torch.testing.assert_close(later["mlm_kl"], first["mlm_kl"] / 4)
    torch.testing.assert_close(later["mlm"], first["mlm"])


@pytest.mark.parametrize("family", FAMILIES)
def test_an_identical_student_predicts_as_its_teacher(family):
    teacher = teacher_of(family)
    losses = listen(teacher, copy.deepcopy(teacher.base_model), "mlm_kl", family=family)
    assert abs(float(losses(inner.features(family), 0, 0.0)["mlm_kl"])) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_a_copy_and_the_teacher_stays_as_it_is(family):
    teacher, student, batch = teacher_of(family), student_of(family), inner.features(family)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    base, order = teacher.base_model, list(teacher._modules)
    losses = listen(teacher, student, family=family)
    assert teacher.base_model is base
    assert list(teacher._modules) == order
    assert losses.model.base_model is student
    own = {weight.data_ptr() for weight in losses.parameters()}
    assert own.isdisjoint(weight.data_ptr() for weight in teacher.parameters())
    heads = [head_of(model) for model in (losses.model, teacher)]
    assert heads[0].keys() == heads[1].keys()
    assert heads[0]
    for name, weight in heads[1].items():
        assert torch.equal(heads[0][name], weight), name
    optimizer = torch.optim.SGD(losses.parameters(), 0.1)
    sum(losses.train()(batch, 1, 0.0).values()).backward()
    optimizer.step()
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(weight.grad is None for weight in teacher.parameters())
    assert any(not torch.equal(heads[0][name], before[name]) for name in heads[0])
    assert not teacher.training


def head_of(model):
    """The weights of a masked-LM head, the word table apart."""
    words = model.get_output_embeddings().weight
    inside = model.base_model_prefix + "."
    return {name: weight for name, weight in model.named_parameters() if not name.startswith(inside) and weight is not words}


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_decoder_is_the_students_word_table(family):
    losses = listen(family=family)
    words = losses.model.base_model.get_input_embeddings().weight
    assert losses.model.get_output_embeddings().weight is words


def test_dropout_of_the_teacher_is_off_while_the_student_trains():
    teacher = teacher_of().train()
    losses = listen(teacher, copy.deepcopy(teacher.base_model), "mlm_kl")
    for module in losses.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    teacher.train()
    assert abs(float(losses.train()(inner.features(), 0, 0.0)["mlm_kl"])) < 1e-5


def test_padding_changes_nothing_where_the_same_tokens_are_masked(monkeypatch):
    losses, batch = listen(), inner.features()
    wider = {name: nn.functional.pad(value, (0, 5)) for name, value in batch.items()}
    read, labels = losses.mask(batch["input_ids"], batch["attention_mask"], 2)
    plain = losses(batch, 2, 0.0)
    monkeypatch.setattr(
        losses, "mask", lambda *_: (nn.functional.pad(read, (0, 5)), nn.functional.pad(labels, (0, 5), value=-100))
    )
    for name, value in losses(wider, 2, 0.0).items():
        torch.testing.assert_close(value, plain[name])


def test_other_widths_vocabularies_or_no_mask_token_are_refused():
    with pytest.raises(ModelError, match="teacher's width and vocabulary"):
        listen(None, student_of(hidden=48))
    smaller = student_of()
    smaller.config.vocab_size -= 1
    with pytest.raises(ModelError, match="teacher's width and vocabulary"):
        listen(None, smaller)
    words = tiny.tokenizer()
    words.mask_token = None
    stage = StageSpec.model_validate({"losses": [{"name": "mlm"}]})
    with pytest.raises(ModelError, match="no mask token"):
        MaskedLMLosses(teacher_of(), student_of(), words, stage.losses, 0)


def test_inner_losses_read_the_masked_tokens_too():
    """DistilBERT's triple loss: the cosine of the last layers is that of the masked text."""
    whole, sentences = teacher_of(), tiny.sentence_transformer(layers=2, seed=3)
    stage = StageSpec.model_validate(
        {"losses": [{"name": n} for n in (*BOTH, "hidden_cosine", "embedding_cosine")], "layer_map": "last"}
    )
    running = InnerTeacher(whole.bert, head=whole, tokenizer=tiny.tokenizer())
    objective = EmbeddingObjective(
        sentences,
        None,
        stage.losses,
        teacher_normalizes=True,
        inner=running.losses(sentences, stage, 0),
        masked=running.masked(sentences, stage, 0),
    )
    objective.step = 11
    features = {name: value for name, value in sentences.preprocess(inner.TEXTS).items() if torch.is_tensor(value)}
    vectors = torch.nn.functional.normalize(torch.randn(3, 32), dim=-1)
    found = objective(vectors, **features)
    objective.close()
    assert found.keys() == {"loss", *BOTH, "hidden_cosine", "embedding_cosine"}
    read, _ = objective.masked.mask(features["input_ids"], features["attention_mask"], 11)
    assert not torch.equal(read, features["input_ids"])
    inputs = {**features, "input_ids": read}
    with torch.no_grad():
        ours, theirs = (m(**inputs).last_hidden_state for m in (sentences[0].auto_model, whole.bert))
        plain = sentences(dict(features))["sentence_embedding"]
    real = features["attention_mask"].bool()
    torch.testing.assert_close(
        found["hidden_cosine"], (1 - nn.functional.cosine_similarity(ours[real], theirs[real], dim=-1)).mean()
    )
    torch.testing.assert_close(found["embedding_cosine"], (1 - nn.functional.cosine_similarity(plain, vectors)).mean())


@pytest.mark.parametrize("names", [BOTH, ("mlm",), ("mlm_kl",)])
def test_the_teacher_runs_once_a_step(names):
    """What its head has just read need not go through its encoder again."""
    whole, sentences = teacher_of(), tiny.sentence_transformer(layers=2, seed=3)
    stage = StageSpec.model_validate({"losses": [{"name": n} for n in (*names, "hidden_cosine")], "layer_map": "last"})
    running = InnerTeacher(whole.bert, head=whole, tokenizer=tiny.tokenizer())
    losses = {"inner": running.losses(sentences, stage, 0), "masked": running.masked(sentences, stage, 0)}
    objective = EmbeddingObjective(sentences, None, stage.losses, teacher_normalizes=True, **losses)
    runs = []
    whole.bert.encoder.register_forward_hook(lambda *_: runs.append(1))
    objective(**{name: value for name, value in sentences.preprocess(inner.TEXTS).items() if torch.is_tensor(value)})
    objective.close()
    assert len(runs) == 1
