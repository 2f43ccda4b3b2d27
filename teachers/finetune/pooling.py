"""How tokens become one vector: mean, first token, maximum, or the last four layers; library modules alone.

What is built here is saved by `save_pretrained` and loads in a plain `SentenceTransformer` (6.0 or later) without code of
ours. The library has no module that joins layers, so that is spelled with those it has: a `WeightedLayerPooling` that
gives one layer the whole weight picks it, `Pooling` means it, and `Pooling(("cls", "mean"))` puts what was joined so far,
carried as the features' `cls_token_embeddings` by a `Dense` that is the identity, before the mean of the next layer.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer, WeightedLayerPooling
from torch import nn

from distill.errors import ModelError

LAST = 4
"""How many layers the two kinds of pooling over layers read."""
CARRIED = "cls_token_embeddings"
"""The feature in which what was joined so far waits for the next layer."""
TOKEN_POOLINGS = ("mean", "cls", "max")

PoolingName = Literal["mean", "cls", "max", "last4_concat", "last4_weighted"]


def with_pooling(model: SentenceTransformer, pooling: PoolingName) -> SentenceTransformer:
    """The model with another pooling; its encoder, prompts, longest input and Normalize are kept.

    The encoder is shared, and told to give all its layers where they are read: go on with the model that is returned.

    Args:
        model: a transformer, a pooling, and what follows it.
        pooling: `mean`, `cls` and `max` of the last hidden states; `last4_concat`: the means of the last four layers, the
            lowest first, four times as wide; `last4_weighted`: the mean over tokens of a learned weighted mean of the last
            four layers, which starts at equal weights. Padding never counts.

    Raises:
        ModelError: the model is no transformer with a pooling, has fewer than four layers, or has a Dense behind its
            pooling, which a wider vector would not fit.
    """
    encoder = plain_encoder(model)
    first, rest = encoder[0], list(encoder)[2:]
    width = first.get_embedding_dimension()
    assert width is not None, "a transformer tells its width"
    if pooling in TOKEN_POOLINGS:
        modules: list[nn.Module] = [Pooling(width, pooling)]
    else:
        layers = _layers(first, pooling)
        first.model.config.output_hidden_states = True
        if pooling == "last4_weighted":
            weigh = WeightedLayerPooling(width, num_hidden_layers=layers, layer_start=layers + 1 - LAST)
            modules = [weigh, Pooling(width, "mean")]
        else:
            if any(isinstance(module, Dense) for module in rest):
                raise ModelError(
                    "this model has a Dense behind its pooling, which vectors of four layers do not fit",
                    where="teacher.finetune.pooling",
                    got=pooling,
                    expected="mean, cls, max or last4_weighted",
                )
            modules = _joined(width, layers)
    return _assemble(model, [first, *modules, *rest])


def plain_encoder(model: SentenceTransformer) -> SentenceTransformer:
    """The model as transformer, pooling of tokens, and what follows: a pooling over layers becomes the mean of the last one.

    What a student is cut from: layers are counted anew there, and a graph of the last hidden states knows no others. A model
    that reads more layers is left as it is and copied; of others the modules are shared.

    Raises:
        ModelError: the model is no transformer with a pooling.
    """
    modules = list(model)
    places = [place for place, module in enumerate(modules) if isinstance(module, Pooling)]
    if not isinstance(modules[0], Transformer) or not places:
        raise ModelError(
            "pooling is chosen for a transformer with a pooling behind it",
            where="teacher.finetune.pooling",
            got=", ".join(type(module).__name__ for module in modules),
        )
    if not reads_layers(model):
        return _assemble(model, modules)
    first, width = copy.deepcopy(modules[0]), modules[0].get_embedding_dimension()
    first.model.config.output_hidden_states = False
    return _assemble(model, [first, Pooling(width, "mean"), *modules[places[-1] + 1 :]])


def reads_layers(model: SentenceTransformer) -> bool:
    """Whether a model's pooling reads more layers than the last one."""
    return any(isinstance(module, WeightedLayerPooling) for module in model)


def freeze_constants(model: SentenceTransformer) -> None:
    """Leave out of training what only spells the joining of layers: the picks and the identities of `last4_concat`."""
    if pooling_name(model) == "last4_concat":
        for module in model:
            if isinstance(module, WeightedLayerPooling) or (isinstance(module, Dense) and module.module_output_name == CARRIED):
                module.requires_grad_(False)


def pooling_name(model: SentenceTransformer) -> str:
    """What a model's pooling is called here; several modes are joined by `+`."""
    picks = sum(isinstance(module, WeightedLayerPooling) for module in model)
    if picks:
        return "last4_weighted" if picks == 1 else "last4_concat"
    modes: Any = next((module.pooling_mode for module in model if isinstance(module, Pooling)), "none")
    return modes if isinstance(modes, str) else "+".join(modes)


def _layers(first: Transformer, pooling: str) -> int:
    """How many layers a transformer has, enough for a pooling over the last four."""
    layers = int(getattr(first.model.config, "num_hidden_layers", 0) or 0)
    if layers < LAST:
        raise ModelError(
            f"a pooling over the last {LAST} layers needs as many",
            where="teacher.finetune.pooling",
            got=f"{pooling} of a model with {layers}",
            expected="mean, cls or max",
        )
    return layers


def _joined(width: int, layers: int) -> list[nn.Module]:
    """Modules that end with the means of the last four layers, one behind the other: [batch, 4 * width]."""
    modules: list[nn.Module] = []
    for number in range(LAST):
        pick = WeightedLayerPooling(width, num_hidden_layers=layers, layer_start=layers + 1 - LAST)
        pick.layer_weights = nn.Parameter(torch.eye(LAST)[number].clone())
        modules.append(pick)
        if number == 0:
            modules.append(Pooling(width, "mean"))
            continue
        so_far = number * width
        carry = Dense(so_far, so_far, bias=False, activation_function=nn.Identity(), module_output_name=CARRIED)
        nn.init.eye_(carry.linear.weight)
        modules += [carry, Pooling((so_far + width) // 2, ("cls", "mean"))]  # whose own width only tells that of its output
    return modules


def _assemble(model: SentenceTransformer, modules: list[nn.Module]) -> SentenceTransformer:
    """A model of these modules with the settings of another one."""
    made = SentenceTransformer(
        modules=modules,
        device=str(model.device),
        prompts=dict(model.prompts or {}),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
    )
    made.max_seq_length = model.max_seq_length
    return made.train(model.training)
