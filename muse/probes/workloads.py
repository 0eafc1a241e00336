"""From a claim's `given` to what is run: the one place where claims' words meet models and workloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from typing import Any, cast

import torch
from torch import nn

from muse import models
from muse.memory.workload import Workload, making
from muse.nn.shape import Shape

SETTINGS = (
    "model",
    "tokens",
    "batch",
    "dtype",
    "train",
    "optimizer",
    "loss",
    "autocast",
    "ids_below",
    "through_float32",
)
"""What a claim may say about its workload, or about the one it compares with."""


def shape(model: str) -> Shape:
    """The preset's size."""
    found: Shape = models.config(model).shape
    return found


def vocabulary(model: str) -> int:
    """The preset's number of token ids."""
    return shape(model).vocabulary


def subject(given: Mapping[str, Any], other: str | Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of the claim's own workload, or those of `other`: a model, or a model with settings of its own."""
    own = {name: given[name] for name in SETTINGS if name in given}
    if other is None:
        return own
    return own | ({"model": other} if isinstance(other, str) else dict(other))


def workload(settings: Mapping[str, Any], **size: int) -> Workload:
    """The forward pass or training step of `settings`, of the preset or of one resized to `size`.

    Inference runs under autocast, as the documents had it, and training does not, unless the settings say otherwise.
    """
    named = {name: settings[name] for name in SETTINGS if name not in ("model", "autocast") and name in settings}
    named.setdefault("tokens", 512)
    train = settings.get("train", False)
    return Workload(
        build=partial(models.build, settings["model"], **size),
        vocabulary=vocabulary(settings["model"]),
        autocast=settings.get("autocast", not train),
        **named,
    )


def in_sequence(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of what the documented procedure measures in one process, in order."""
    if given.get("sequence"):
        return [subject(given, one) for one in given["sequence"]]
    return [subject(given, one) for one in ([given["against"], None] if given.get("against") else [None])]


def question(what: Workload, model: str) -> dict[str, Any]:
    """The workload of `model` in words that every process says alike; a function's `repr` tells its address."""
    return {"model": model, **{f.name: getattr(what, f.name) for f in fields(what) if f.name != "build"}}


def attention(model: str, given: Mapping[str, Any]) -> nn.Module:
    """One layer's attention of a preset, with the claim's width, heads and curvature, on the default device."""
    module = import_module(models.PRESETS[model])
    config = module.PRESETS[model]
    size = replace(
        config.shape,
        d_model=given.get("width") or config.shape.d_model,
        heads=given.get("heads") or config.shape.heads,
    )
    changes: dict[str, Any] = {"shape": size}
    if given.get("curvature") is not None and hasattr(config, "curvature"):
        changes["curvature"] = float(given["curvature"])
    layer: nn.Module = module.attention(replace(config, **changes))
    return layer


def attention_call(given: Mapping[str, Any], model: str, tokens: int, device: torch.device) -> Callable[[], object]:
    """One call of a preset's attention at `tokens`: the whole layer, or the mixing of tokens alone.

    For the mixing alone, the layer's own scalars stay on the CPU: reading the mode then does not wait for the GPU.
    """
    size = shape(model)
    width, heads = given.get("width") or size.d_model, given.get("heads") or size.heads
    batch = given.get("batch", 1)
    with making(device, "float16"):
        layer = attention(model, given)
        if given.get("part", "layer") == "layer":
            return partial(layer, torch.randn(batch, tokens, width))
        q, k, v = (torch.randn(batch, heads, tokens, width // heads) for _ in range(3))
    for parameter in layer.parameters(recurse=False):
        parameter.data = parameter.data.cpu()
    return partial(cast(Callable[..., object], layer.mix), q, k, v)
