import copy
import logging

import pytest
import tiny
import torch
from transformers import AutoModel, BertConfig

from distill.errors import ModelError
from students.tiny import FAMILIES, PRESETS, build_tiny, project_embeddings, start_from, tiny_config

SHAPE = {"layers": 2, "hidden": 16, "heads": 2}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Family -> a small teacher, 4 layers of width 32 with 4 heads."""
    folder = tmp_path_factory.mktemp("teachers")
    return {family: AutoModel.from_pretrained(tiny.write_encoder(folder / family, family)).eval() for family in FAMILIES}


def parameters(encoder):
    return sum(weight.numel() for weight in encoder.parameters())


def vectors(encoder):
    ids = torch.arange(5, 17).reshape(2, 6)
    with torch.no_grad():
        return encoder(ids, torch.ones_like(ids)).last_hidden_state


@pytest.mark.parametrize(("preset", "count"), [("4x312", 14_350_248), ("6x768", 66_955_008), ("6x384", 22_713_216)])
def test_published_sizes(preset, count):
    """TinyBERT's two students, pooler included; 6x384 is the size of MiniLM-L6-H384."""
    with torch.device("meta"):
        assert parameters(AutoModel.from_config(tiny_config(BertConfig(), preset=preset))) == count


def test_numbers_of_a_preset_get_its_feed_forward_width():
    assert tiny_config(BertConfig(), layers=4, hidden=312, heads=12).intermediate_size == 1200
    assert tiny_config(BertConfig(), layers=3, hidden=312, heads=12).intermediate_size == 4 * 312
    assert tiny_config(BertConfig(), preset="4x312", intermediate=624).intermediate_size == 624


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(teachers, family):
    teacher = teachers[family]
    before = copy.deepcopy(teacher.config.to_dict())
    student = build_tiny(teacher, seed=1, **SHAPE)
    assert type(student) is type(teacher)
    assert vectors(student).shape == (2, 6, 16)
    assert parameters(student) < parameters(teacher)
    assert teacher.config.to_dict() == before
    assert student.config.pad_token_id == teacher.config.pad_token_id
    assert student.config.max_position_embeddings == teacher.config.max_position_embeddings
    assert not student.training


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_it_is_the_same(teachers, family, tmp_path):
    student = build_tiny(teachers[family], seed=1, **SHAPE)
    student.save_pretrained(tmp_path)
    assert torch.equal(vectors(AutoModel.from_pretrained(tmp_path).eval()), vectors(student))


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers_and_embeddings_of_the_teacher_make_the_teacher(teachers, family):
    shape = {"layers": 4, "hidden": 32, "heads": 4, "intermediate": 64}
    student = build_tiny(teachers[family], seed=1, init_from=teachers[family], copy_layers=[0, 1, 2, 3], **shape)
    torch.testing.assert_close(vectors(student), vectors(teachers[family]))


def test_layers_are_spread_and_told(teachers, caplog):
    with caplog.at_level(logging.INFO, "students.tiny"):
        shape = {"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64}
        student = build_tiny(teachers["bert"], seed=1, init_from=teachers["bert"], copy_layers="spread", **shape)
    assert "embeddings copied; layers 0 from 0, 1 from 3" in caplog.text
    ours, theirs = student.encoder.layer, teachers["bert"].encoder.layer
    for index, layer in enumerate((0, 3)):
        assert torch.equal(ours[index].output.dense.weight, theirs[layer].output.dense.weight)


def test_embeddings_alone_leave_the_layers_random(teachers):
    shape = {"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64}
    plain = build_tiny(teachers["bert"], seed=1, **shape)
    student = build_tiny(teachers["bert"], seed=1, init_from=teachers["bert"], **shape)
    assert torch.equal(student.embeddings.LayerNorm.weight, teachers["bert"].embeddings.LayerNorm.weight)
    assert torch.equal(student.embeddings.word_embeddings.weight, teachers["bert"].embeddings.word_embeddings.weight)
    assert torch.equal(student.encoder.layer[1].output.dense.weight, plain.encoder.layer[1].output.dense.weight)


def test_a_narrower_student_gets_the_teachers_words_by_pca(teachers):
    student = build_tiny(teachers["bert"], seed=1, **SHAPE)
    started = start_from(student, teachers["bert"])
    rows = teachers["bert"].get_input_embeddings().weight.detach()
    values = torch.linalg.svdvals(rows.double())
    assert started.embeddings == "reduced"
    assert started.layers == [None, None]
    assert started.variance == pytest.approx(float((values[:16] ** 2).sum() / (values**2).sum()), rel=1e-5)
    torch.testing.assert_close(student.get_input_embeddings().weight.detach(), project_embeddings(rows, 16))
    assert "reduced by PCA" in str(started)


def test_reduced_rows_are_the_best_of_their_rank():
    rows = torch.randn(50, 12, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 13)
    u, s, v = torch.linalg.svd(rows.double(), full_matrices=False)
    best = (u[:, :5] * s[:5]) @ v[:5]  # Eckart-Young
    reduced = project_embeddings(rows, 5)
    torch.testing.assert_close(reduced.double() @ reduced.double().T, best @ best.T, atol=1e-3, rtol=1e-4)
    assert reduced.square().sum(0).diff().max() <= 0  # the largest first


def test_a_wider_student_keeps_all_angles():
    rows = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    wide = project_embeddings(rows.numpy(), 9)
    assert wide.shape == (20, 9)
    torch.testing.assert_close(wide @ wide.T, rows @ rows.T, atol=1e-4, rtol=1e-4)


def test_weights_depend_on_the_seed_alone(teachers):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = build_tiny(teachers["bert"], seed=1, **SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(vectors(build_tiny(teachers["bert"].config, seed=1, **SHAPE)), vectors(first))
    assert not torch.equal(vectors(build_tiny(teachers["bert"], seed=2, **SHAPE)), vectors(first))


def test_a_smaller_vocabulary(teachers):
    student = build_tiny(teachers["bert"], seed=1, vocab_size=100, **SHAPE)
    assert student.get_input_embeddings().weight.shape == (100, 16)
    with pytest.raises(ModelError, match="vocabularies differ"):
        start_from(student, teachers["bert"])
    with pytest.raises(ModelError, match="padding token"):
        tiny_config(teachers["bert"].config, vocab_size=0, **SHAPE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 2, "hidden": 30, "heads": 4}, "heads do not divide"),
        ({"layers": 0, "hidden": 32, "heads": 4}, "at least 1"),
        ({"preset": "4x321"}, "4x312"),
        ({"preset": "4x312", "layers": 3}, "exclude each other"),
        ({"layers": 2}, "needs a size"),
    ],
)
def test_shapes_that_do_not_fit(options, words):
    with pytest.raises(ModelError, match=words):
        tiny_config(BertConfig(), **options)


def test_families_that_do_not_fit(teachers):
    class Other:
        model_type = "t5"

    with pytest.raises(ModelError, match="model_type t5"):
        tiny_config(Other(), preset="4x312")
    with pytest.raises(ModelError, match="even width"):
        tiny_config(teachers["modernbert"].config, layers=2, hidden=12, heads=4)


@pytest.mark.parametrize(
    ("shape", "layers", "words"),
    [
        ({"layers": 2, "hidden": 16, "heads": 4, "intermediate": 64}, [0, 1], "another shape"),
        ({"layers": 2, "hidden": 32, "heads": 2, "intermediate": 64}, [0, 1], "another shape"),
        ({"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64}, [0], "for each"),
        ({"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64}, [0, 4], "0 to 3"),
    ],
)
def test_layers_that_do_not_fit(teachers, shape, layers, words):
    student = build_tiny(teachers["bert"], seed=1, **shape)
    with pytest.raises(ModelError, match=words):
        start_from(student, teachers["bert"], layers)


def test_presets_have_heads_that_divide():
    assert all(hidden % heads == 0 for _, hidden, heads, _ in PRESETS.values())
