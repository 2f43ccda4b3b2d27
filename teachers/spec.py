"""How a recipe names a teacher. Imports no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictInt


class FinetuneSpec(BaseModel):
    """Training a teacher's task head and body on gold labels, before anything is distilled.

    Attributes:
        epochs, batch_size, learning_rate, warmup: of the training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(default=3, gt=0)
    batch_size: StrictInt = Field(default=32, ge=2)
    learning_rate: float = Field(default=3e-5, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)


class TeacherSpec(BaseModel):
    """The model that is distilled.

    Attributes:
        model: hub id, folder, or `package:IMPORT_NAME` (an installed package that ships a model folder).
        prompt: text put before every sentence ("query: "), or the name of a prompt the model defines.
            None keeps the model's own default prompt.
        max_length: longest input in tokens; None keeps the model's own.
        revision: hub commit, tag or branch.
        batch_size: sentences per forward when the teacher labels text.
        finetune: train it for the task first; None takes it as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    prompt: str | None = None
    max_length: StrictInt | None = Field(default=None, ge=4, le=8192)
    revision: str | None = None
    batch_size: StrictInt = Field(default=32, ge=1)
    finetune: FinetuneSpec | None = None
