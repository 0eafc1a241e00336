"""The Triton look-up agrees with its definition at real sizes."""

import pytest
import torch

from kernels import implementation, tensor_train, tensor_train_logits
from kernels.case import excesses
from kernels.tensor_train import reference
from kernels.tensor_train.cases import CASES

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_kernel_agrees_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Embeddings and every gradient."""
    given = inputs(case, dtype)
    assert implementation(given["core1"]) == "triton"
    found = excesses(tensor_train, reference.tensor_train, given)
    assert all(ratio <= case.k for ratio in found.values()), found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_logits_kernels_agree_with_the_definition_on_a_gpu(inputs, case, dtype):
    """Logits and every gradient, over more than one chunk of tokens at real sizes."""
    given = inputs(case, dtype)
    cores, width = {name: given[name] for name in ("core1", "core2", "phase")}, given["width"]
    tokens, vocabulary = min(len(given["index"]), 300), len(cores["core1"]) * len(cores["core2"]) - 1
    random = torch.Generator(cores["core1"].device).manual_seed(0)
    hidden = torch.randn(tokens, width, generator=random, device=random.device) * (width * len(given["phase"])) ** -0.5
    given = {"hidden": hidden.to(dtype), **cores, "vocabulary": vocabulary}
    found = excesses(tensor_train_logits, reference.tensor_train_logits, given)
    assert all(ratio <= case.k for ratio in found.values()), found
