"""Cut a model's vocabulary down to the text it will read: fewer embeddings, the same vectors.

python scripts/trim_vocabulary.py sentence-transformers/all-MiniLM-L6-v2 sentences.txt --out small
python scripts/trim_vocabulary.py intfloat/multilingual-e5-small reviews.txt --size 8000 --held-out dev.txt --out e5-ko
python scripts/trim_vocabulary.py intfloat/multilingual-e5-small --languages ko en --out e5-ko-en
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from distill.errors import DataError, DistillError, UserError
from distill.files import atomic_folder, read_json
from distill.locating import locate_model


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="hub id, folder or package:IMPORT_NAME; of sentence-transformers or an encoder of transformers"
    )
    parser.add_argument(
        "text", nargs="?", type=Path, help="UTF-8 file, one text a line (default: none, with --languages or --size)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist or be empty")
    parser.add_argument("--size", type=int, help="at most so many pieces, the most frequent")
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="keep what is written in their scripts: ko, en, Hangul, ..."
    )
    parser.add_argument("--min-count", type=int, default=1, help="how often a piece must occur (default: %(default)s)")
    parser.add_argument("--keep", nargs="+", default=[], metavar="TEXT", help="texts, such as prompts, all of whose pieces stay")
    parser.add_argument("--held-out", type=Path, help="other text, for the share of unknown tokens")
    return parser.parse_args(arguments)


def read(path: Path | None) -> list[str] | None:
    """The lines of a text file that are not blank."""
    if path is None:
        return None
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "this text cannot be read", where=str(path), got=error, expected="a UTF-8 file, one text a line"
        ) from error


def load(name: str) -> tuple[Any, Any, list[str]]:
    """A model as it was saved, its head too, its tokenizer and the prompts it puts before texts.

    Raises:
        ModelError: it cannot be loaded, or weights are missing, but those of a pooler, which is then left out.
    """
    import torch
    from transformers import AutoModel

    from distill.loading import from_folder, loading, quiet_loading, refuse_missing
    from teachers.folder import check_folder, download
    from teachers.heads import CLASSES, load_masked_lm, load_tokenizer, load_trained_head
    from teachers.load import load_encoder

    place = locate_model(name)
    folder = Path(place) if Path(place).is_dir() else download(place, None)
    if (folder / "modules.json").is_file():
        encoder = load_encoder(name)
        return encoder.eval(), encoder.tokenizer, list(filter(None, encoder.prompts.values()))
    check_folder(folder, name)
    saved = str((read_json(folder / "config.json").get("architectures") or [""])[0])
    task = next((task for task, kind in CLASSES.items() if saved.endswith(kind.removeprefix("AutoModel"))), None)
    if task is not None:
        head = load_trained_head(name, task)  # type: ignore[arg-type]
        return head.model, head.tokenizer, []
    if saved.endswith("ForMaskedLM"):
        return load_masked_lm(name), load_tokenizer(folder, name), []
    with loading(folder, name), torch.random.fork_rng(devices=[]), quiet_loading():
        model, info = from_folder(AutoModel, folder)
        if info["missing_keys"] and all(key.startswith("pooler.") for key in info["missing_keys"]):
            model, info = from_folder(AutoModel, folder, add_pooling_layer=False)
    if info["missing_keys"]:
        refuse_missing(sorted(info["missing_keys"]), type(model).__name__, name)
    return model.eval(), load_tokenizer(folder, name), []


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what `load` gave as a folder of its kind."""
    from sentence_transformers import SentenceTransformer

    from students.save import save_student

    if isinstance(model, SentenceTransformer):
        save_student(model, folder)
        return
    with atomic_folder(folder) as work:
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)


def size(model: Any) -> str:
    numbers = [(weight.numel(), weight.numel() * weight.element_size()) for weight in model.parameters()]
    return f"{sum(n for n, _ in numbers) / 1e6:.2f} M parameters, {sum(b for _, b in numbers) / 1e6:.1f} MB"


def main(arguments: list[str] | None = None) -> int:
    """Trim, save and tell what it cost; the exit status."""
    args = parse(arguments)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
            raise UserError("this is not empty, so it is not replaced", where=str(args.out), hint="choose another folder")
        texts, held_out = read(args.text), read(args.held_out)
        from students.vocabulary import trim, trim_model, unknown_rate

        model, tokenizer, prompts = load(args.model)
        options = {"size": args.size, "languages": args.languages, "min_count": args.min_count}
        trimmed = trim(tokenizer, texts, keep=[*args.keep, *prompts], **options)
        small, words = trim_model(model, tokenizer, trimmed)
        save(small, words, args.out)
        print(f"pieces:  {trimmed.old_size} -> {trimmed.size}; {trimmed.coverage:.2%} of the text's tokens are kept whole")
        print(f"before:  {size(model)}")
        print(f"after:   {size(small)}")
        shown = held_out if held_out is not None else texts
        if shown is not None:
            rates = [unknown_rate(one, shown) for one in (tokenizer, words)]
            which = "the same" if held_out is None else "the held-out"
            print(f"unknown: {rates[0]:.3%} -> {rates[1]:.3%} of the tokens of {which} text")
    except DistillError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
