import copy
import json

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, PreTrainedTokenizerFast, RobertaConfig

from distill.errors import DataError, ModelError
from students.bilstm import BiLSTMConfig, build_bilstm
from students.vocabulary import trim, trim_model, trimmed_tokenizer, trimming_facts, trimming_words, unknown_rate

ENGLISH = [sentence for sentence in tiny.SENTENCES if sentence.isascii()]
KOREAN = [sentence for sentence in tiny.SENTENCES if not sentence.isascii()]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
NAMES = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}


def wrapped(tokenizer):
    ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ends)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("<pad>"), pad_token="<pad>")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", **NAMES)


def bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        tiny.SENTENCES,
        trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    return wrapped(tokenizer)


def bpe_of_words():
    """With a mark at the end of words, as CLIP's has it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(tiny.SENTENCES, trainer)
    return wrapped(tokenizer)


def bpe_of_sentence_pieces():
    """With a mark for spaces, as SentencePiece's BPE has it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(tiny.SENTENCES, trainer)
    return wrapped(tokenizer)


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        tiny.SENTENCES, trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    )
    return wrapped(tokenizer)


def wordpiece():
    """With the special tokens in the middle of the vocabulary, as BERT has them."""
    base = tiny.tokenizer()
    data = json.loads(base.backend_tokenizer.to_str())
    names = sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)
    order = [names[0], *names[5:-3], *names[1:5], *names[-3:]]
    data["model"]["vocab"] = {name: index for index, name in enumerate(order)}
    for row in data["added_tokens"]:
        row["id"] = order.index(row["content"])
    for row in data["post_processor"]["special_tokens"].values():
        row["ids"] = [order.index(row["id"])]
    base._tokenizer = Tokenizer.from_str(json.dumps(data))
    return base


TOKENIZERS = {
    "WordPiece": wordpiece(),
    "BPE": bpe(),
    "BPE of words": bpe_of_words(),
    "BPE of sentence pieces": bpe_of_sentence_pieces(),
    "Unigram": unigram(),
}
KINDS = pytest.mark.parametrize("kind", TOKENIZERS)


def pieces(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


def encoder(tokenizer, family="roberta"):
    kind = RobertaConfig if family == "roberta" else BertConfig
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id}
        config = kind(vocab_size=len(tokenizer), max_position_embeddings=300, initializer_range=0.3, **sizes, **special)
        return AutoModel.from_config(config).eval()


def vectors(model, tokenizer, texts):
    features = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        return model(**features).last_hidden_state[:, 0]


WORDS = sorted({word for sentence in tiny.SENTENCES for word in sentence.split()})
TEXT = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join),
    st.text(alphabet="abcdefghijklmno .,?0123학생고양이 ", max_size=30),
    st.text(max_size=15),
)
TRIMMED = {kind: trim(tokenizer, ENGLISH[:40] + KOREAN[:10]) for kind, tokenizer in TOKENIZERS.items()}
MODELS = {
    kind: encoder(tokenizer) if kind != "WordPiece" else encoder(tokenizer, "bert") for kind, tokenizer in TOKENIZERS.items()
}
SMALL = {kind: trim_model(MODELS[kind], TOKENIZERS[kind], TRIMMED[kind]) for kind in TOKENIZERS}


@KINDS
@given(TEXT)
@settings(max_examples=60, deadline=None)
def test_a_text_that_needs_no_removed_piece_stays_as_it_is(kind, text):
    tokenizer, (small, words) = TOKENIZERS[kind], SMALL[kind]
    old = tokenizer(text)["input_ids"]
    new = words(text)["input_ids"]
    assert max(new) < small.config.vocab_size
    if set(old) <= set(TRIMMED[kind].kept_ids.tolist()):
        assert TRIMMED[kind].kept_ids[new].tolist() == old
        assert pieces(words, text) == pieces(tokenizer, text)
        assert words.decode(new) == tokenizer.decode(old)
        torch.testing.assert_close(vectors(small, words, [text]), vectors(MODELS[kind], tokenizer, [text]), atol=1e-6, rtol=0)


@KINDS
def test_pieces_went_and_the_corpus_did_not_suffer(kind):
    tokenizer, trimmed, (small, words) = TOKENIZERS[kind], TRIMMED[kind], SMALL[kind]
    corpus = ENGLISH[:40] + KOREAN[:10]
    assert trimmed.size < trimmed.old_size == len(tokenizer)
    assert trimmed.coverage == 1
    assert all(pieces(words, text) == pieces(tokenizer, text) for text in corpus)
    torch.testing.assert_close(vectors(small, words, corpus), vectors(MODELS[kind], tokenizer, corpus), atol=1e-6, rtol=0)


@KINDS
def test_removed_pieces_fall_to_smaller_ones(kind):
    """The words of all other sentences have letters that were seen, so nothing becomes unknown."""
    tokenizer = TOKENIZERS[kind]
    words = trimmed_tokenizer(tokenizer, trim(tokenizer, ENGLISH[:3] + KOREAN))
    assert unknown_rate(words, ENGLISH) == unknown_rate(tokenizer, ENGLISH) == 0
    assert sum(len(words(text)["input_ids"]) for text in ENGLISH) > sum(len(tokenizer(text)["input_ids"]) for text in ENGLISH)


@KINDS
def test_new_ids_keep_the_old_order_and_special_tokens_their_names(kind):
    tokenizer, words, trimmed = TOKENIZERS[kind], SMALL[kind][1], TRIMMED[kind]
    assert (np.diff(trimmed.kept_ids) > 0).all()
    assert words.special_tokens_map == tokenizer.special_tokens_map
    assert len(words) == trimmed.size
    for token in tokenizer.all_special_tokens:
        assert trimmed.kept_ids[words.convert_tokens_to_ids(token)] == tokenizer.convert_tokens_to_ids(token)
    new = trimmed.new_ids(len(tokenizer))
    assert (new[trimmed.kept_ids] == np.arange(trimmed.size)).all()
    assert (new >= 0).sum() == trimmed.size


@KINDS
def test_saved_and_loaded_the_tokenizer_is_the_same(kind, tmp_path):
    words = SMALL[kind][1]
    words.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*tiny.SENTENCES[:50], "Zebra 42!"]
    assert again(texts)["input_ids"] == words(texts)["input_ids"]
    pair = [words("A dog.", "A cat."), again("A dog.", "A cat.")]
    assert pair[0]["input_ids"] == pair[1]["input_ids"]


@KINDS
def test_the_same_text_gives_the_same_file_and_leaves_the_tokenizer(kind):
    tokenizer = TOKENIZERS[kind]
    before = tokenizer.backend_tokenizer.to_str()
    first, second = (trim(tokenizer, iter(ENGLISH), size=300 + 256 * (kind == "BPE")) for _ in range(2))
    assert first.tokenizer_json == second.tokenizer_json
    assert tokenizer.backend_tokenizer.to_str() == before


@KINDS
def test_size_is_a_cap_filled_by_frequency(kind):
    tokenizer = TOKENIZERS[kind]
    whole = trim(tokenizer, ENGLISH)
    small = trim(tokenizer, ENGLISH, size=whole.size - 15)
    assert whole.size - 18 <= small.size <= whole.size - 15  # a piece of BPE may bring its parts, and not fit
    assert small.coverage < 1
    counts = np.zeros(len(tokenizer), dtype=int)
    for text in ENGLISH:
        np.add.at(counts, tokenizer(text, add_special_tokens=False)["input_ids"], 1)
    assert small.coverage == pytest.approx(counts[small.kept_ids].sum() / counts.sum())
    gone = np.setdiff1d(whole.kept_ids, small.kept_ids)
    often = np.argsort(-counts)[:10]
    assert len(gone)
    assert set(often.tolist()) <= set(small.kept_ids.tolist())
    assert counts[gone].max() <= np.sort(counts)[-10]


@KINDS
def test_a_size_below_what_must_stay_is_refused(kind):
    with pytest.raises(DataError, match="at least"):
        trim(TOKENIZERS[kind], ENGLISH, size=20)


@KINDS
def test_rare_pieces_go(kind):
    tokenizer = TOKENIZERS[kind]
    assert trim(tokenizer, ENGLISH, min_count=50).size < trim(tokenizer, ENGLISH).size


@KINDS
def test_languages_keep_their_scripts_alone(kind):
    tokenizer = TOKENIZERS[kind]
    words = trimmed_tokenizer(tokenizer, trim(tokenizer, None, languages=["ko"]))
    assert all(pieces(words, text) == pieces(tokenizer, text) for text in KOREAN)
    english = sum(len(words(text)["input_ids"]) for text in ENGLISH)
    assert english > 1.2 * sum(len(tokenizer(text)["input_ids"]) for text in ENGLISH)  # ASCII letters stay, words do not
    both = trimmed_tokenizer(tokenizer, trim(tokenizer, None, languages=["Hangul", "en"]))
    assert all(pieces(both, text) == pieces(tokenizer, text) for text in tiny.SENTENCES)


def test_rows_that_bert_left_free_are_of_no_language():
    level = Tokenizer(models.WordPiece({"[UNK]": 0, "[unused0]": 1, "word": 2, "단어": 3, "w": 4, "##w": 5}, unk_token="[UNK]"))
    level.add_special_tokens(["[UNK]"])
    assert trim(level, None, languages=["en"]).kept_ids.tolist() == [0, 2, 4, 5]


def test_unknown_rate():
    tokenizer = TOKENIZERS["WordPiece"]
    words = trimmed_tokenizer(tokenizer, trim(tokenizer, ENGLISH))
    assert unknown_rate(tokenizer, KOREAN) == 0
    assert unknown_rate(words, ["a 학생 학생"]) == pytest.approx(2 / 3)
    assert unknown_rate(TOKENIZERS["BPE"], ["\u4e00"]) == 0
    with pytest.raises(DataError, match="no text"):
        unknown_rate(words, [])


def test_prompts_can_be_kept():
    tokenizer = TOKENIZERS["Unigram"]
    prompt, name = KOREAN[0], "▁explains"
    trimmed = trim(tokenizer, ENGLISH[:1], keep=[prompt, name])
    assert pieces(trimmed_tokenizer(tokenizer, trimmed), prompt) == pieces(tokenizer, prompt)
    if tokenizer.convert_tokens_to_ids(name) != tokenizer.unk_token_id:
        assert tokenizer.convert_tokens_to_ids(name) in trimmed.kept_ids


def test_a_byte_level_vocabulary_reads_anything_without_unknowns():
    words = SMALL["BPE"][1]
    assert words.decode(words("\u4e00\u00e9 🙂", add_special_tokens=False)["input_ids"]) == "\u4e00\u00e9 🙂"


def test_merges_have_all_their_parts():
    model = json.loads(trim(TOKENIZERS["BPE"], ENGLISH, size=450).tokenizer_json)["model"]
    made = {"".join(pair) for pair in model["merges"]}
    assert made <= set(model["vocab"])
    assert {name for name in model["vocab"] if len(name) > 1 and name not in SPECIAL} == made


def test_unigram_keeps_its_scores_and_its_price_of_the_unknown():
    old = dict(map(tuple, json.loads(TOKENIZERS["Unigram"].backend_tokenizer.to_str())["model"]["vocab"]))
    model = json.loads(TRIMMED["Unigram"].tokenizer_json)["model"]
    new = dict(map(tuple, model["vocab"]))
    assert all(old[piece] == score for piece, score in new.items())
    assert min(new.values()) == min(old.values())
    assert model["vocab"][model["unk_id"]][0] == "<unk>"


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_masked_language_models_keep_their_rows(family, tmp_path):
    """Input table, decoder and bias follow; the logits are those of the kept pieces."""
    tiny.write_encoder(tmp_path, family, layers=2)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.copy_(torch.linspace(-1, 1, weight.numel()))
    before = copy.deepcopy(model.state_dict())
    trimmed = trim(tokenizer, ENGLISH[:30])
    small, words = trim_model(model, tokenizer, trimmed)
    inputs = [t(ENGLISH[:4], padding=True, return_tensors="pt") for t in (tokenizer, words)]
    with torch.no_grad():
        old, new = (m(**i).logits for m, i in zip((model, small), inputs, strict=True))
    torch.testing.assert_close(new, old[..., torch.from_numpy(trimmed.kept_ids)], atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert small.config.vocab_size == trimmed.size
    assert small.get_input_embeddings().num_embeddings == trimmed.size
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert (small.get_input_embeddings().weight is small.get_output_embeddings().weight) == tied
    small.save_pretrained(tmp_path / "small")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "small").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(**inputs[1]).logits, new)


def test_a_sentence_transformer_and_its_folder(tmp_path):
    from sentence_transformers import SentenceTransformer

    from students.save import save_student

    model = tiny.sentence_transformer("roberta", layers=2)
    trimmed = trim(model.tokenizer, ENGLISH)
    small, words = trim_model(model, model.tokenizer, trimmed)
    assert len(small.tokenizer) == len(words) == trimmed.size < len(model.tokenizer)
    np.testing.assert_allclose(small.encode(ENGLISH[:20]), model.encode(ENGLISH[:20]), atol=1e-6)
    small.encode(KOREAN[:3])
    save_student(small, tmp_path / "student")
    again = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    np.testing.assert_allclose(again.encode(ENGLISH[:20]), small.encode(ENGLISH[:20]), atol=1e-6)


def test_ids_in_the_config_follow():
    tokenizer = TOKENIZERS["WordPiece"]
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    model = build_bilstm(BiLSTMConfig(vocab_size=len(tokenizer), embedding_dim=8, hidden_size=4, **special), seed=0)
    small, words = trim_model(model, tokenizer, trim(tokenizer, KOREAN))
    assert small.config.sep_token_id == words.sep_token_id != tokenizer.sep_token_id
    assert small.config.skip_token_ids == [words.cls_token_id, words.sep_token_id]
    assert model.config.sep_token_id == tokenizer.sep_token_id
    old, new = (t(KOREAN[:3], padding=True, return_tensors="pt") for t in (tokenizer, words))
    torch.testing.assert_close(small(**new).logits, model(**old).logits)


def test_what_cannot_be_trimmed():
    level = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(ModelError, match="WordLevel"):
        trim(level, ["a"])
    with pytest.raises(ModelError, match="fast tokenizer"):
        trim(object(), ["a"])
    tokenizer = TOKENIZERS["WordPiece"]
    with pytest.raises(ModelError, match="no table"):
        trim_model(torch.nn.Linear(2, 2), tokenizer, TRIMMED["WordPiece"])
    short = AutoModel.from_config(BertConfig(**{**MODELS["WordPiece"].config.to_dict(), "vocab_size": 50}))
    with pytest.raises(ModelError, match="fewer token embeddings"):
        trim_model(short, tokenizer, TRIMMED["WordPiece"])


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        (None, {}, "something to go by"),
        ([], {}, "empty"),
        (["", "  "], {}, "empty"),
        (None, {"languages": ["kro"]}, "'ko'"),
        (None, {"languages": ["ko"], "min_count": 2}, "min_count"),
        ("one text", {}, "one text"),
    ],
)
def test_what_cannot_be_asked(texts, options, words):
    with pytest.raises(DataError, match=words):
        trim(TOKENIZERS["WordPiece"], texts, **options)


def test_what_trimming_does_to_other_text():
    tokenizer = TOKENIZERS["WordPiece"]
    words = trimmed_tokenizer(tokenizer, trim(tokenizer, ENGLISH))
    facts = trimming_facts(tokenizer, words, ["a 학생 학생"])
    assert (facts["pieces"], facts["of"]) == (len(words), len(tokenizer))
    assert (facts["unknown_before"], facts["unknown"]) == (0, pytest.approx(2 / 3))
    assert facts["longer"] <= 1
    told = trimming_words(facts)
    assert f"{len(words):,} of {len(tokenizer):,} pieces; of dev tokens 66.67% are unknown (0.00% before)" in told
    few = trimmed_tokenizer(tokenizer, trim(tokenizer, ENGLISH[:3] + KOREAN))
    assert trimming_facts(tokenizer, few, ENGLISH)["longer"] > 1
