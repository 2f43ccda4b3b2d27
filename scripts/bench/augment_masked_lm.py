#!/usr/bin/env python3
"""TinyBERT's augmentation by a masked LM: the published way, a forward pass a word, against ours.

    DISTILL_BENCH_DATA=DATA DISTILL_BENCH_MODELS=MODELS python scripts/bench/augment_masked_lm.py [--sentences 1000]
    ... --model FOLDER | --shape base

DATA holds sst2/train.tsv (sentence, label). Candidates K=15, variants N=20, p=0.4; one thread; no word vectors, so words of more
than one piece stay in both; nothing is cached between the ways. The published way is written here from its description (arXiv
1909.10351 and its code): for every word that is a single piece, [CLS] sentence with a mask [SEP] sentence [SEP] through the model
alone, gradients recorded, every output of every place, all of them sorted. Seconds are CPU time of the one thread, so that
other work on the machine does not count; wall time is noted too.

Without --model the encoder is MODELS/minilm (all-MiniLM-L6-v2), or with --shape base one of BERT-base's shape with random
weights, and the head is random: speed does not depend on weights. What is compared of the candidates holds for any weights: they
have to be the same sets, word for word, where ours is told to read and choose as published.

Prints a line as it goes on and one JSON object last; the result is written to scripts/bench/results/augment_masked_lm.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM

from distill.data.augment.base import Example, Rng
from distill.data.augment.masked_lm import MaskedLMMethod
from distill.data.augment.pairs import Augmenter
from distill.data.augment.plans import ReplacePlan
from distill.data.augment.stop_words import STOP_WORDS
from distill.files import write_json
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results" / "augment_masked_lm.json"
CANDIDATES, VARIANTS, P = 15, 20, 0.4
WAYS: dict[str, dict[str, Any]] = {
    "published": {"published": True, "rows": "word"},
    "word": {"rows": "word"},
    "word_alone": {"rows": "word", "sees_original": False},
    "word_alone_bf16": {"rows": "word", "sees_original": False, "precision": "bf16"},
    "sentence": {"rows": "sentence"},
    "sentence_bf16": {"rows": "sentence", "precision": "bf16"},
}
"""Settings of ours that are measured."""


class Published:
    """The algorithm as it was published, word by word."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(str(folder))
        self.model = AutoModelForMaskedLM.from_pretrained(str(folder)).eval()

    def words(self, sentence: str) -> list[str]:
        """BERT's basic tokens: lower case without accents, punctuation apart."""
        plain = "".join(char for char in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(char) != "Mn")
        return regex.findall(r"[^\W_]+|[^\w\s]|_", plain)

    def candidates(self, words: Sequence[str], index: int) -> list[str] | None:
        """What the model puts in place of a word; None for a word of more than one piece."""
        if len(self.tokenizer.tokenize(words[index])) != 1:
            return None
        masked = [self.tokenizer.mask_token if place == index else word for place, word in enumerate(words)]
        first = ["[CLS]", *(piece for word in masked for piece in self.tokenizer.tokenize(word)), "[SEP]"]
        second = [*(piece for word in words for piece in self.tokenizer.tokenize(word)), "[SEP]"]
        ids = torch.tensor([self.tokenizer.convert_tokens_to_ids(first + second)])
        segments = torch.tensor([[0] * len(first) + [1] * len(second)])
        logits = self.model(input_ids=ids, token_type_ids=segments).logits
        best = torch.argsort(logits[0, first.index("[MASK]")], descending=True)[:CANDIDATES].tolist()
        return [piece for piece in self.tokenizer.convert_ids_to_tokens(best) if not piece.startswith("##")]

    def augment(self, sentence: str, chance: random.Random) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """The sentence and its variants, and the words that may be replaced with their candidates."""
        words = self.words(sentence)
        found: dict[int, list[str]] = {}
        for index, word in enumerate(words):
            if word.isascii() and word.isalpha() and word not in STOP_WORDS and (new := self.candidates(words, index)):
                found[index] = new
        made = [sentence]
        for _ in range(VARIANTS):
            variant = list(words)
            for index, new in found.items():
                if chance.random() < P:
                    variant[index] = chance.choice(new)
            if (text := " ".join(variant)) not in made:
                made.append(text)
        return made, [(words[index], new) for index, new in found.items()]


def model_folder(models: Path | None, shape: str, out: Path) -> Path:
    """A masked LM with a random head."""
    if models is None:
        raise SystemExit("set DISTILL_BENCH_MODELS, or give --model")
    tokenizer = AutoTokenizer.from_pretrained(str(models / "minilm"))
    tokenizer.model_max_length = 512
    torch.manual_seed(0)
    if shape == "base":
        model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer)))
    else:
        model = BertForMaskedLM.from_pretrained(str(models / "minilm"))
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    return out


def seconds(start: tuple[float, float]) -> dict[str, float]:
    """CPU and wall seconds since a start."""
    return {"cpu_s": round(time.process_time() - start[0], 2), "wall_s": round(time.perf_counter() - start[1], 2)}


def now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def measure_published(folder: Path, sentences: Sequence[str]) -> tuple[dict[str, Any], list[list[tuple[str, list[str]]]]]:
    """Time of the published way, and its candidates."""
    published = Published(folder)
    published.augment("warm up the model once", random.Random(0))
    found = []
    made = 0
    start = now()
    for index, sentence in enumerate(sentences):
        variants, words = published.augment(sentence, random.Random(index))
        made += len(variants) - 1
        found.append(words)
        if (index + 1) % max(1, len(sentences) // 20) == 0:
            print(f"published: {index + 1} of {len(sentences)} sentences, {seconds(start)['cpu_s']:.0f} s", flush=True)
    return {**seconds(start), "variants": made}, found


def measure_ours(folder: Path, sentences: Sequence[str], **options: Any) -> tuple[dict[str, Any], MaskedLMMethod]:
    """Time of one of our ways."""
    method = MaskedLMMethod(str(folder), p=P, candidates=CANDIDATES, cache=False, **options)
    method.prepare(["warm up the model once"])
    augmenter = Augmenter(method, variants=VARIANTS)
    start = now()
    examples = augmenter.augment([Example(sentence, row=row) for row, sentence in enumerate(sentences)], Rng(0))
    return {**seconds(start), "variants": len(examples) - len(sentences)}, method


def agreement(method: MaskedLMMethod, sentences: Sequence[str], found: Sequence[list[tuple[str, list[str]]]]) -> dict[str, int]:
    """Words with candidates, in how many of them the two ways differ, and sentences with other words."""
    words = differing = other = 0
    for plan, theirs in zip(method.prepare(list(sentences)), found, strict=True):
        assert isinstance(plan, ReplacePlan)
        ours = [(word.text, set(candidates)) for word, candidates in plan.slots]
        words += len(theirs)
        if len(ours) != len(theirs) or any(len(mine[0]) != len(yours[0]) for mine, yours in zip(ours, theirs, strict=True)):
            other += 1
        else:
            differing += sum(mine[1] != set(yours[1]) for mine, yours in zip(ours, theirs, strict=True))
    return {"words": words, "words_that_differ": differing, "sentences_with_other_words": other}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--model", type=Path, help="folder of a masked LM with BERT's tokenizer")
    parser.add_argument("--shape", choices=("minilm", "base"), default="minilm")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    data = Path(os.environ["DISTILL_BENCH_DATA"])
    models = Path(os.environ["DISTILL_BENCH_MODELS"]) if "DISTILL_BENCH_MODELS" in os.environ else None
    torch.set_num_threads(1)
    lines = (data / "sst2" / "train.tsv").read_text("utf-8").splitlines()
    sentences = list(dict.fromkeys(line.rsplit("\t", 1)[0] for line in lines))[: args.sentences]
    machine = environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.model or model_folder(models, args.shape, Path(temporary))
        plain, found = measure_published(folder, sentences)
        ways: dict[str, dict[str, Any]] = {}
        agree: dict[str, int] = {}
        for name, options in WAYS.items():
            took, method = measure_ours(folder, sentences, **options)
            if options.get("published"):
                agree = agreement(method, sentences, found)
            took["speedup"] = round(plain["cpu_s"] / max(took["cpu_s"], 0.01), 1)
            took["sentences_per_s"] = round(len(sentences) / max(took["cpu_s"], 0.01), 1)
            ways[name] = took
            print(f"{name}: {took['cpu_s']} s, {took['speedup']} times as fast", flush=True)
    plain["sentences_per_s"] = round(len(sentences) / plain["cpu_s"], 2)
    result = {
        "sentences": len(sentences),
        "model": args.model.name if args.model else f"{args.shape}, random head",
        "plain": plain,
        "ours": ways,
        "agreement_as_published": agree,
    }
    settings = {"candidates": CANDIDATES, "variants": VARIANTS, "p": P, "threads": 1}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    write_json(args.results, {"schema_version": 1, **result, "settings": settings, "environment": machine})
    print(json.dumps(result))


if __name__ == "__main__":
    main()
