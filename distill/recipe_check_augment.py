"""What local files can tell about a recipe's augmentation before a run. Imports no torch, opens no connection."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

from .errors import DistillError, MissingExtra, ModelError, UserError, nearest
from .files import expand
from .locating import locate_model
from .recipe import BY_TOKEN, Recipe
from .recipe_augment import MaskedLMSpec, PartOfSpeechSpec, TangSpec, VectorsSpec, VocabularyMixSpec
from .recipe_check_names import in_hub_cache, placed
from .recipe_losses import COMPARING, STATES

TAGGERS = {"auto": ("HanTa", "kiwipiepy"), "english": ("HanTa",), "korean": ("kiwipiepy",)}
"""Tagger -> the packages it needs; `auto` needs that of the text's language alone."""


def check_augment(recipe: Recipe, notes: list[str]) -> Iterator[DistillError]:
    """The problems of `data.augment`; what is only worth knowing goes to `notes`."""
    spec, where = recipe.data.augment, "data.augment"
    if spec is None:
        return
    if recipe.task in BY_TOKEN:
        yield UserError(
            f"the task {recipe.task} cannot be augmented: words and labels would part",
            where=where,
            got=spec.method,
            expected="a task on whole texts: embedding, classification, multilabel or regression",
            hint="leave it out; more text for the teacher to label is named with data.unlabelled",
        )
        return
    if isinstance(spec, VocabularyMixSpec):
        if recipe.task != "embedding":
            yield UserError(
                "vocabulary_mix makes text without sense, which has no label",
                where=f"{where}.method",
                got=f"task: {recipe.task}",
                expected="another method for labelled tasks: masked_lm, word_vectors, tang, masking, part_of_speech, ngrams",
            )
        return
    if recipe.task == "embedding" and spec.labels == "copy":
        notes.append(f"{where}.labels: sentences of the task embedding have no labels; nothing is copied")
    losses = {loss.name for stage in recipe.stages if stage.data == "train" for loss in stage.losses}
    if recipe.task != "embedding" and spec.labels == "teacher" and not losses & (COMPARING | STATES):
        yield UserError(
            "no stage learns from the teacher on rows without labels, so nothing would be learnt from variants",
            where=f"{where}.labels",
            got="teacher",
            expected="copy, or a stage with data: train and a loss that compares with the teacher",
        )
    if isinstance(spec, MaskedLMSpec):
        yield from _model(spec.model, f"{where}.model", notes)
    vectors = getattr(spec, "vectors", None)
    if vectors is not None:
        yield from _vectors(vectors, f"{where}.vectors")
    if isinstance(spec, TangSpec | PartOfSpeechSpec):
        yield from _tagger(spec.tagger, f"{where}.tagger")


def _model(name: str, where: str, notes: list[str]) -> Iterator[DistillError]:
    """The folder of a masked LM, as far as its list of files and its config tell."""
    try:
        found = locate_model(name)
    except DistillError as problem:
        yield placed(problem, where)
        return
    folder = Path(found)
    if not folder.is_dir():
        if not in_hub_cache(found):
            notes.append(f"{where}: '{found}' is not on this machine; a run fetches it from the hub")
        return
    missing = [
        kind for kind, pattern in (("config.json", "config.json"), ("weights", "*.safetensors")) if not [*folder.glob(pattern)]
    ]
    if missing:
        yield ModelError(
            "there is no masked language model in this folder",
            where=f"{where}: {name}",
            got=f"no {' and no '.join(missing)}",
            expected="a folder of transformers: config.json, model.safetensors, tokenizer.json",
        )
        return
    try:
        names = json.loads((folder / "config.json").read_text("utf-8")).get("architectures") or []
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        yield ModelError("config.json is damaged", where=f"{where}: {name}", got=error, expected="JSON")
        return
    if names and not _says_masked_lm(str(names[0])):
        notes.append(f"{where}: '{name}' says it is a {names[0]}; a run stops if it has no masked-LM head")


def _says_masked_lm(architecture: str) -> bool:
    """Whether a class of transformers has a masked-LM head; ELECTRA's pretraining class is the discriminator."""
    return architecture.endswith("MaskedLM") or (architecture.endswith("PreTraining") and not architecture.startswith("Electra"))


def _vectors(spec: VectorsSpec, where: str) -> Iterator[DistillError]:
    """The files of a table of word vectors."""
    for key, name in (("source", spec.source), ("vocabulary", spec.vocabulary)):
        if name is None:
            continue
        path = expand(name)
        if not path.is_file():
            names = [item.name for item in path.parent.iterdir() if item.is_file()] if path.parent.is_dir() else []
            yield UserError("no such file", where=f"{where}.{key}", got=name, hint=nearest(path.name, names))
    if spec.source.endswith(".npy") and spec.vocabulary is None:
        yield UserError(
            "an .npy table does not hold its words",
            where=f"{where}.vocabulary",
            got="null",
            expected="a text file with a word a line, in the order of the rows",
        )
    if importlib.util.find_spec("faiss") is None:
        yield placed(MissingExtra("augment", "faiss", "searching for neighbours"), where)


def _tagger(name: str, where: str) -> Iterator[DistillError]:
    """A tagger's name, and the packages it needs."""
    kind, _, model = name.partition(":")
    if kind == "spacy" and model:
        for package in ("spacy", model):
            if package.isidentifier() and importlib.util.find_spec(package) is None:
                hint = "pip install spacy" if package == "spacy" else f"python -m spacy download {model}"
                yield UserError(f"the package '{package}' is not installed", where=where, got=name, hint=hint)
        return
    if name not in TAGGERS:
        yield UserError(
            "no such tagger",
            where=where,
            got=name,
            expected="auto, english, korean, or spacy:MODEL",
            hint=nearest(name, TAGGERS),
        )
        return
    absent = [package for package in TAGGERS[name] if importlib.util.find_spec(package) is None]
    if absent and (name != "auto" or len(absent) == len(TAGGERS[name])):
        yield placed(MissingExtra("augment", absent[0], "telling parts of speech"), where)
