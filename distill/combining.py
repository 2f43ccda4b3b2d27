"""Several sentence teachers of a run: each labels apart, what they say is put together on reading and brought to a width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save
from torch import nn

from students.cost import count_parameters
from teachers.ensemble import EnsembleTeacher, principal_axes
from teachers.origin import FIELDS, card_fields
from teachers.precision import Precision, keyed
from teachers.spec import TeacherSpec

from .data.saved import PreparedData
from .errors import DataError
from .files import atomic_write
from .locating import locate_model
from .progress import note
from .recipe import Recipe
from .report.words import public_name
from .rundir import RunDir
from .signals import Crowd, JoinedSignals, Rows, labelling_of_each

AXES = "pca.safetensors"
"""The file of the run folder that holds the axes: `axes`, float32 [d, width]."""
SAMPLE = 20_000
"""Training sentences that the axes are fitted to, at most."""
CHUNK = 4096
"""Vectors that are put together at once."""


def several_signals(
    recipe: Recipe,
    folder: RunDir,
    teacher: EnsembleTeacher,
    data: PreparedData,
    trained_on: Mapping[str, str],
    precision: Precision,
    crowd: Callable[[TeacherSpec, dict[str, Any]], Crowd] | None = None,
) -> tuple[JoinedSignals, dict[str, Any]]:
    """The stages `signals` and, where the vectors are brought to a width, `pca`; `teacher` has its axes then.

    Args:
        recipe: of the run.
        folder: the run folder.
        teacher: the teachers.
        data: sentences for training and dev.
        trained_on: hashes of their files.
        precision: numbers inside the teachers' matrix products.
        crowd: gives, for a teacher and its fingerprint, who is asked instead of it.

    Returns:
        What the teachers say, and what decides it, as JSON values.

    Raises:
        DataError: there are fewer training sentences than the width has numbers.
    """
    note(f"teacher: {describe(teacher)}")
    each = [one.fingerprint() for one in teacher.members]
    specs = [spec.model_copy(update={"precision": precision}) for spec in recipe.teacher.every]
    crowds = None if crowd is None else [crowd(spec, key) for spec, key in zip(specs, each, strict=True)]
    size = recipe.teacher.batch_size
    parts, work = labelling_of_each(
        teacher, data.train_goals, data.dev_goals, batch_size=size, precision=precision, crowds=crowds
    )
    told = {"teachers": [keyed(key, precision) for key in each], "data": dict(trained_on)}
    facts = folder.stage("signals", told, [], work, everyone=True)
    key = {name: facts[name] for name in ("train_sha256", "dev_sha256")}
    if teacher.width is not None:
        width = teacher.width
        count = len(data.train_goals)
        if count < width:
            raise DataError(
                "there are too few training sentences to find so many axes",
                where="teacher.pca",
                got=f"{width:,} numbers from {count:,} sentences",
                expected=f"at most {count:,}",
                hint="set a smaller teacher.pca, leave it out, or train on more text",
            )
        how = {"combine": teacher.combine, "shares": teacher.shares.tolist(), "width": width}
        inputs = {**how, "signals": facts["train_sha256"], "seed": recipe.seed, "sample": SAMPLE}
        whole = JoinedSignals(parts, teacher.whole)

        def fit() -> dict[str, Any]:
            return fit_axes(whole.train, width, recipe.seed, folder.path / AXES)

        folder.stage("pca", inputs, [AXES], fit)
        teacher.use(load_file(folder.path / AXES)["axes"])
    return JoinedSignals(parts, teacher.combined), {**key, "teacher": teacher.fingerprint()}


def fit_axes(rows: Rows, width: int, seed: int, path: Path) -> dict[str, Any]:
    """Find the axes on a sample of the training sentences, and write them.

    Args:
        rows: what the teachers say together, of every training sentence.
        width: how many axes.
        seed: of the sample.
        path: of the file.

    Returns:
        Facts: {"sample", "from", "to", "kept"}: sentences, numbers before and after, and the share of the vectors' squared
        length that is left, as a mean over the sample.
    """
    count = min(len(rows), SAMPLE)
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), count, replace=False, shuffle=False))
    vectors = np.concatenate([rows.gather(part) for part in _parts(chosen)])
    axes = principal_axes(vectors, width)
    kept = sum(float(np.square(vectors[part] @ axes).sum()) for part in _parts(np.arange(count))) / count
    atomic_write(path, save({"axes": axes}))
    note(f"pca: {len(axes):,} numbers become {width:,}; {kept:.1%} of their squared length is left ({count:,} sentences)")
    return {"sample": count, "from": len(axes), "to": width, "kept": round(kept, 6)}


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def describe(teacher: EnsembleTeacher) -> str:
    """What several teachers are together, in words."""
    shown = weights_in_words([one.name for one in teacher.members], teacher.shares)
    how = "vectors side by side" if teacher.combine == "concatenate" else "the mean of the vectors"
    return f"{how}, {shown}; {teacher.dim:,} numbers"


def weights_in_words(names: Sequence[str], shares: np.ndarray) -> str:
    """The teachers, each with its share."""
    return "weights " + ", ".join(f"{public_name(name)} {share:.3g}" for name, share in zip(names, shares, strict=True))


def several_facts(teacher: EnsembleTeacher) -> dict[str, Any]:
    """Facts of the stage `teacher`."""
    each = [{"dim": one.dim, "max_length": one.max_length, "prompt": one.prompt} for one in teacher.members]
    return {
        **facts_of_each([one.name for one in teacher.members], [one.model for one in teacher.members], each),
        "dim": teacher.dim,
        "max_length": teacher.max_length,
        "normalizes": teacher.normalizes,
        "prompt": teacher.prompt,
        "weights": teacher.shares.tolist(),
    }


def facts_of_each(names: Sequence[str], models: Sequence[nn.Module], each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several teachers of any kind tell: parameters are those of all, language and licence what all have in common.

    Args:
        names: of the models, as a recipe has them.
        models: to count the parameters of.
        each: what else is told of each of them.
    """
    shown, counts = [public_name(name) for name in names], [count_parameters(model) for model in models]
    return {
        **shared_card(names),
        "model": " + ".join(shown),
        "teachers": [{"model": name, **own, **count} for name, own, count in zip(shown, each, counts, strict=True)],
        **{name: sum(count[name] for count in counts) for name in counts[0]},
    }


def shared_card(names: Sequence[str]) -> dict[str, str]:
    """Language and licence that the cards of all these models name alike; where licences differ, that is told.

    Args:
        names: of the models, as a recipe has them.
    """
    places = [Path(locate_model(name)) for name in names]
    cards = [card_fields(place) if place.is_dir() else {} for place in places]
    told = {field: [card.get(field) for card in cards] for field in FIELDS}
    if len(set(told["license"])) > 1:
        each = ", ".join(f"{public_name(name)}: {own or 'not told'}" for name, own in zip(names, told["license"], strict=True))
        note(f"note: the teachers' licences differ ({each}); the student's card names none")
    return {field: own[0] for field, own in told.items() if own[0] is not None and len(set(own)) == 1}
