"""The script that trims a vocabulary, as a program of its own, on tiny models."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "trim_vocabulary.py"
ENGLISH = [sentence for sentence in tiny.SENTENCES if sentence.isascii()]


def run(*arguments, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=400)


def test_help_has_an_example(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "python scripts/trim_vocabulary.py " in done.stdout


@pytest.mark.slow
def test_a_sentence_transformer(tmp_path):
    from sentence_transformers import SentenceTransformer

    tiny.saved(tmp_path / "model", layers=2)
    tiny.write_lines(tmp_path / "english.txt", ENGLISH)
    tiny.write_lines(tmp_path / "all.txt")
    done = run("model", "english.txt", "--held-out", "all.txt", "--out", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = (float(number) for number in re.findall(r"(\S+) M parameters", done.stdout))
    assert after < before
    assert re.search(r"unknown: 0.000% -> [1-9]", done.stdout), done.stdout  # Korean is unknown now
    old, new = (SentenceTransformer(str(tmp_path / name), device="cpu") for name in ("model", "small"))
    np.testing.assert_allclose(new.encode(ENGLISH[:20]), old.encode(ENGLISH[:20]), atol=1e-6)


@pytest.mark.slow
def test_a_plain_encoder(tmp_path):
    from transformers import AutoModel, AutoTokenizer

    tiny.write_encoder(tmp_path / "model", "roberta", layers=2)
    done = run("model", "--languages", "en", "--out", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = [tmp_path / "model", tmp_path / "small"]
    words = [AutoTokenizer.from_pretrained(folder)(ENGLISH[:5], padding=True, return_tensors="pt") for folder in folders]
    old, new = (AutoModel.from_pretrained(f).eval()(**w).last_hidden_state for f, w in zip(folders, words, strict=True))
    np.testing.assert_allclose(new.detach(), old.detach(), atol=1e-6)
    assert new.shape[-1] == 32


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["model", "missing.txt", "--out", "small"], "missing.txt"),
        (["model", "--languages", "en", "--out", "full"], "not empty"),
        (["./missing", "--languages", "en", "--out", "small"], "no such folder"),
    ],
)
def test_mistakes_end_with_2(arguments, word, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "small").exists()


@pytest.mark.slow
def test_a_classifier_keeps_its_head(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tiny.write_classifier(tmp_path / "model", layers=1)
    done = run("model", "--languages", "en", "--out", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = [tmp_path / "model", tmp_path / "small"]
    words = [AutoTokenizer.from_pretrained(folder)(ENGLISH[:5], padding=True, return_tensors="pt") for folder in folders]
    load = AutoModelForSequenceClassification.from_pretrained
    old, new = (load(folder).eval()(**read).logits for folder, read in zip(folders, words, strict=True))
    np.testing.assert_allclose(new.detach(), old.detach(), atol=1e-6)


@pytest.mark.slow
def test_nothing_is_made_up(tmp_path):
    """A pooler that was never saved is left out; an encoder without all of its weights is refused."""
    import safetensors.torch

    tiny.write_encoder(tmp_path / "model", layers=2)
    file = tmp_path / "model" / "model.safetensors"
    weights = {name: weight for name, weight in safetensors.torch.load_file(file).items() if not name.startswith("pooler.")}
    safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
    done = run("model", "--languages", "en", "--out", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any("pooler" in name for name in safetensors.torch.load_file(tmp_path / "small" / "model.safetensors"))
    safetensors.torch.save_file(dict(list(weights.items())[:-3]), file, metadata={"format": "pt"})
    done = run("model", "--languages", "en", "--out", "other", cwd=tmp_path)
    assert done.returncode == 2
    assert "weights of this model are missing" in done.stderr
