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
from muse.nn.lowrank import Shape


def shape(model: str) -> Shape:
    """The preset's size."""
    found: Shape = import_module(models.PRESETS[model]).PRESETS[model].shape
    return found


def vocabulary(model: str) -> int:
    """The preset's number of token ids."""
    return shape(model).vocabulary


def workload(given: Mapping[str, Any], model: str | None = None) -> Workload:
    """The forward pass or training step of the claim's model, or of `model` under the same settings."""
    name = model or given["model"]
    return Workload(
        build=partial(models.build, name),
        vocabulary=vocabulary(name),
        tokens=given.get("tokens", 512),
        batch=given.get("batch", 1),
        dtype=given.get("dtype", "float16"),
        train=given.get("train", False),
    )


def in_sequence(given: Mapping[str, Any]) -> list[str]:
    """The models that the documented procedure measures in one process, in order."""
    named = [given["against"], given["model"]] if given.get("against") else [given["model"]]
    return list(given.get("sequence") or named)


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
