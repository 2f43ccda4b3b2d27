"""How a model folder is loaded, whoever made it: within bounds, every failure a clear error, and nothing made up.

Asked by teachers and students alike. torch and transformers are imported when a folder is loaded.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .errors import ModelError
from .foreign import check_tokenizer_steps, is_failure
from .modelfolder import held

MOST_TIMES = 4
"""Weights that a model may be built with, for each number in its files: tables that are tied count twice or thrice."""
SPARE = 1 << 24
MODULES_PER_TENSOR = 20
SPARE_MODULES = 2000


@contextlib.contextmanager
def loading(folder: Path, name: str, message: str = "this model cannot be loaded") -> Iterator[None]:
    """Load a model folder inside the block: what the libraries raise becomes one error, and no more is built than files can fill.

    Args:
        folder: of the model.
        name: what the user called it, for errors.
        message: of the error.

    Raises:
        ModelError: the folder does not load; config.json asks for a model that is far larger than the weights.
    """
    try:
        with _bounded(*held(folder, name), name):
            yield
    except ModelError:
        raise
    except BaseException as error:  # the libraries raise many kinds here: each means that this folder does not load
        if not is_failure(error):
            raise
        fits = "ignore_mismatched_sizes" not in str(error)
        got = f"{type(error).__name__}: {error}" if fits else "weights of other shapes than config.json asks for"
        raise ModelError(message, where=name, got=got) from error


@contextlib.contextmanager
def _bounded(tensors: int, numbers: int, name: str) -> Iterator[None]:
    """Stop a model that is built out of proportion to the numbers that its files hold, before memory is taken for it."""
    from torch.nn.modules import module as registry

    limits = {"numbers": MOST_TIMES * numbers + SPARE, "modules": MODULES_PER_TENSOR * tensors + SPARE_MODULES}
    built, thread = dict.fromkeys(limits, 0), threading.get_ident()

    def count(kind: str, more: int) -> None:
        if threading.get_ident() != thread:
            return
        built[kind] += more
        if built[kind] > limits[kind]:
            raise ModelError(
                "config.json asks for a larger model than the weights are of",
                where=name,
                got=f"more than {limits[kind]:,} {kind}",
                expected=f"a model for the {tensors:,} tensors of {numbers:,} numbers in its safetensors",
            )

    def parameter(_: Any, __: str, value: Any) -> None:
        if value is not None and value.is_meta:  # libraries build without memory first, and fill what the files do not hold
            count("numbers", value.numel())

    hooks = [
        registry.register_module_parameter_registration_hook(parameter),
        registry.register_module_module_registration_hook(lambda *_: count("modules", 1)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def from_folder(kind: Any, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """A model of a class of transformers, fp32, from safetensors and local files, and what its loading tells.

    Args:
        kind: the class.
        folder: with config.json and safetensors.
        options: further ones of from_pretrained.
    """
    import torch

    model, info = kind.from_pretrained(
        str(folder),
        trust_remote_code=False,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        **options,
    )
    return model, info


def missing_weights(model: Any, folder: Path) -> list[str]:
    """Names of the weights that a transformers model has and its folder does not hold, in order.

    Args:
        model: as it was loaded; what is missing was made at random then.
        folder: with config.json and safetensors.
    """
    import torch

    with torch.random.fork_rng(devices=[]), quiet_loading():
        _, info = from_folder(type(model), folder, config=model.config)
    return sorted(info["missing_keys"])


def check_whole(model: Any, folder: Path, name: str) -> None:
    """Refuse an encoder of which weights were made at random, since its folder does not hold them.

    Args:
        model: of transformers, as it was loaded.
        folder: it was loaded from.
        name: what the user called it.

    Raises:
        ModelError: weights are missing; a pooler behind the token vectors, which no sentence embedding reads, may be.
    """
    missing = [key for key in missing_weights(model, folder) if not key.startswith("pooler.")]
    if missing:
        refuse_missing(missing, type(model).__name__, name)


def refuse_missing(missing: list[str], kind: str, name: str) -> None:
    """Say which weights are missing."""
    raise ModelError(
        "weights of this model are missing, so that they would be random",
        where=name,
        got=f"no {', '.join(missing[:3])}{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}",
        expected=f"every weight of {kind}",
        hint="save the model again as a whole with save_pretrained()",
    )


@contextlib.contextmanager
def errors_alone(logger: str | None) -> Iterator[None]:
    """Inside, a library logs errors and nothing less.

    Args:
        logger: its name; None for the root logger.
    """
    library = logging.getLogger(logger)
    level = library.level
    library.setLevel(logging.ERROR)
    try:
        yield
    finally:
        library.setLevel(level)


def quiet_loading() -> AbstractContextManager[None]:
    """transformers warns of a head that is made anew; it is told in other words, trained, or refused."""
    return errors_alone("transformers")


def check_tokenizer(tokenizer: Any, rows: int, name: str) -> None:
    """Refuse a tokenizer that gives token ids without a row, that lets a text grow without bound, or that gives up.

    Args:
        tokenizer: fast, of transformers, or one of the tokenizers library.
        rows: of the embedding table.
        name: what the user called the model.

    Raises:
        ModelError: see above.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    highest = max(backend.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= rows:
        raise ModelError(
            "this tokenizer knows more tokens than the model has rows for",
            where=name,
            got=f"token id {highest}",
            expected=f"below {rows}",
            hint="put the tokenizer files of the model's own folder in their place",
        )
    check_tokenizer_steps(backend, name)
