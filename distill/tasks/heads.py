"""The models that a labelled run begins with: the teachers, one of them trained where that is asked, and the student's start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from students.cost import count_parameters
from students.heads import load_head_student, save_head_student
from teachers.heads import CLASSES, HeadModel, load_head
from teachers.origin import card_fields

from ..data.examples import LabelSet
from ..evaluate.scoring import make_collator
from ..files import fingerprint
from ..locating import locate_model
from ..processes import leads
from ..progress import note
from ..recipe import Recipe
from ..report.words import public_name
from ..rundir import RunDir, versions
from ..train.task_engine import train_task
from .data import TaskData
from .features import dev_scorer, features_of, labelled_rows, trained_on
from .several import Several, join_heads
from .teacher import check_trained, finetune_recipe, head_key, label_order, read_as, reorder_head


class Heads:
    """The teachers of a labelled run, their labels matched with the data's by name, and the model its student starts from.

    Args:
        recipe: of the run.
        labels: the data's.

    Attributes:
        teacher: the teacher; of several the first.
        several: all of them, where there are more than one.
        order: for each label of the data the teacher's output; None where they agree.
        start: what the student is built from: the teacher, or another model.
        folder: where a teacher lies that this run has fine-tuned.

    Raises:
        ModelError: a model cannot be loaded, was not trained for the task, or has other labels.
    """

    def __init__(self, recipe: Recipe, labels: LabelSet) -> None:
        self.recipe = recipe
        self.several: Several | None = None
        self.folder: Path | None = None
        spec = recipe.teacher
        first, *others = (
            load_head(
                one.model,
                recipe.task,  # type: ignore[arg-type]
                labels=labels.names,
                max_length=one.max_length,
                revision=one.revision,
                seed=recipe.seed,
            )
            for one in spec.every
        )
        if others:
            self.several = join_heads([first, *others], labels, recipe.data.labels, spec, recipe.task)
            first = self.several.members[0]  # reads no more than all can, where they read together
            note(f"teacher: {self.several.describe()}")
        self.teacher = first
        if spec.finetune is None:
            check_trained(first, recipe.task)
        if self.several is not None:
            self.order = self.several.orders[0]
        else:
            self.order = None if self.teacher.untrained else label_order(self.teacher, labels, recipe.data.labels)
        if spec.finetune is not None and self.order is not None:
            reorder_head(self.teacher.model, self.order, labels)
            self.teacher.labels, self.order = labels.names, None
        name = recipe.student.start
        self.start = first
        if name != "teacher":
            self.start = load_head(name, recipe.task, labels=labels.names, seed=recipe.seed)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """The teacher's name, or those of all."""
        return (self.several or self.teacher).name

    @property
    def max_length(self) -> int:
        """What every teacher can read, in tokens of its own."""
        return (self.several or self.teacher).max_length

    def key(self) -> dict[str, Any]:
        """Everything that decides what the teachers say, as JSON values; their weights are read for it."""
        return head_key(self.teacher, self.order) if self.several is None else self.several.key()

    def each(self) -> list[tuple[HeadModel, np.ndarray | None]]:
        """Every teacher, with the order of its outputs."""
        if self.several is None:
            return [(self.teacher, self.order)]
        return list(zip(self.several.members, self.several.orders, strict=True))

    def start_order(self, labels: LabelSet) -> np.ndarray | None:
        """For each label the output of the student's start; None where they agree, and for a head that was just made."""
        if self.start is self.teacher:
            return self.order
        return None if self.start.untrained else label_order(self.start, labels, self.recipe.data.labels, who="start model")

    def facts(self) -> dict[str, Any]:
        """What the manifest and the model card tell of the teacher."""
        if self.several is not None:
            return self.several.facts()
        place = self.folder or Path(locate_model(self.recipe.teacher.model))
        config = self.teacher.model.config
        return {
            **(card_fields(place) if place.is_dir() else {}),
            "model": public_name(self.recipe.teacher.model),
            "layers": getattr(config, "num_hidden_layers", None),
            "dim": getattr(config, "hidden_size", None),
            "max_length": self.teacher.max_length,
            **count_parameters(self.teacher.model),
        }

    def train_teacher(self, folder: RunDir, data: TaskData) -> None:
        """Train the teacher for the task, or load what an earlier run with the same inputs trained.

        Args:
            folder: the run folder; its data stage is done.
            data: what it is trained on.
        """
        recipe, teacher = finetune_recipe(self.recipe), self.teacher
        place = folder.path / "teacher"
        inputs = {
            "seed": recipe.seed,
            "task": recipe.task,
            "teacher": head_key(teacher, None),
            "stages": [stage.model_dump(mode="json") for stage in recipe.stages],
            "train": recipe.train.model_dump(mode="json", exclude={"report_to"}),
            "data": trained_on(folder),
            "features": {name: getattr(recipe.data, name) for name in ("stride", "answer_unit")},
            "torch": versions().get("torch"),
        }

        def work() -> dict[str, Any]:
            """Train the teacher, and save it."""
            read_as(teacher.model, recipe.task)
            features = features_of(recipe, data, data.train, teacher)
            facts = train_task(
                recipe,
                teacher.model,
                features,
                make_collator(recipe.task, teacher.tokenizer),
                dev_scorer(recipe, data, teacher),
                work=folder.work / f"teacher-{fingerprint(inputs)}",
                log=folder.work / "teacher.jsonl",
                labelled=labelled_rows(features, data),
            )
            if leads():
                save_head_student(teacher.model, teacher.tokenizer, place, max_length=teacher.max_length)
            return facts

        facts = folder.stage("finetune", inputs, ["teacher"], work, everyone=True)
        teacher.model, teacher.tokenizer = load_head_student(place, CLASSES[recipe.task])
        teacher.untrained = False
        self.folder = place
        self.order = None
        best = facts["stages"][0]["best_value"]
        note(f"teacher: fine-tuned, dev {best:.4f}")
