"""A prediction is the arithmetic of storages, rounded as the allocator rounds them."""

import gc
import pickle
from collections import Counter

import pytest
import torch
from torch import nn

from muse.errors import UsageError
from muse.memory.card import card
from muse.memory.predict import predict, predict_extra, workspace_bytes
from muse.memory.tracker import KINDS, Tracker
from muse.memory.workload import Workload

V, D, E, N = 100, 64, 32, 10
PARAMETERS = 4 * (V * D + D * E)
"""Embedding and head in float32; both are multiples of 512 bytes."""
IDS = 512
"""Ten 8-byte ids are 80 bytes, so one block."""
WORKSPACE = 1024
H100 = card("h100")


def blocks(size: int) -> int:
    """Return `size` rounded up to whole blocks of 512 bytes, by counting."""
    return 512 * len(range(0, size, 512))


def network() -> nn.Module:
    """Return an embedding and a head without bias."""
    return nn.Sequential(nn.Embedding(V, D), nn.Linear(D, E, bias=False))


def normed() -> nn.Module:
    """Return an embedding and a normalisation."""
    return nn.Sequential(nn.Embedding(V, D), nn.LayerNorm(D))


def test_a_storage_is_counted_in_blocks_of_512_bytes():
    """513 bytes take two blocks, 512 take one and nothing takes none."""
    with Tracker(H100, 0) as tracker:
        kept = [torch.empty(n, dtype=torch.uint8) for n in (0, 1, 512, 513)]
    assert (len(kept), tracker.live.total()) == (4, 0 + 512 + 512 + 1024)


def test_a_view_costs_nothing():
    """Slices, transposes, reshapes and detached copies share their storage."""
    with Tracker(H100, 0) as tracker:
        x = torch.empty(32, 32)
        views = [x[3:], x.T, x.view(-1), x.detach(), x.expand(5, 32, 32)]
    assert (len(views), tracker.live.total()) == (5, 4096)


def test_an_operation_in_place_costs_nothing():
    """It writes where it reads."""
    with Tracker(H100, 0) as tracker:
        torch.ones(32, 32).mul_(2).add_(1)
    assert tracker.peak.total() == 4096


def test_a_freed_storage_leaves():
    """What nobody holds is not counted, but the peak remembers it."""
    with Tracker(H100, 0) as tracker:
        x = torch.empty(32, 32)
        del x
        gc.collect()
    assert (tracker.live.total(), tracker.peak.total()) == (0, 4096)


def test_a_storage_lives_as_long_as_a_view_of_it():
    """A slice holds the whole."""
    with Tracker(H100, 0) as tracker:
        x = torch.empty(32, 32)
        view = x[0]
        del x
        gc.collect()
    assert (view.numel(), tracker.live.total()) == (32, 4096)


def test_a_storage_moves_to_another_kind_without_being_counted_twice():
    """A gradient was an activation before it was accumulated."""
    with Tracker(H100, 0) as tracker:
        x = torch.empty(32, 32)
        tracker.hold(x, "gradients")
    assert +tracker.live == Counter(gradients=4096)


def test_the_peak_is_a_moment():
    """Two tensors that are never alive together do not add up."""
    with Tracker(H100, 0) as tracker:
        x = torch.empty(32, 32)
        del x
        y = torch.empty(16, 16)
    assert (y.numel(), tracker.peak.total()) == (256, 4096)


def test_a_forward_pass_holds_ids_embedding_and_output():
    """By hand: 512 + 10 * 64 * 4 + 10 * 32 * 4 bytes, the last one rounded up to three blocks."""
    found = predict(Workload(network, V, N, dtype="float32"), WORKSPACE, H100)
    assert found.by_kind == {
        "parameters": PARAMETERS,
        "gradients": 0,
        "optimizer": 0,
        "activations": IDS + 2560 + 1536,
        "scratch": 0,
        "workspace": WORKSPACE,
    }


def test_the_total_is_the_sum_of_its_kinds():
    """Nothing is counted outside the kinds, and every kind is named."""
    found = predict(Workload(network, V, N, dtype="float32"), WORKSPACE, H100)
    assert tuple(found.by_kind) == KINDS
    assert found.total_bytes == PARAMETERS + IDS + 2560 + 1536 + WORKSPACE


def test_the_model_alone_is_its_parameters():
    """As it stands before the first step."""
    assert predict(Workload(network, V, N, dtype="float32"), WORKSPACE, H100).model_bytes == PARAMETERS


def test_half_precision_halves_the_model():
    """Parameters are made in half precision, never in float32 first."""
    assert predict(Workload(network, V, N, dtype="float16"), 0, H100).model_bytes == PARAMETERS // 2


def test_a_batch_multiplies_the_activations():
    """Three sequences of 1000 tokens hold three times what one does."""
    found = predict(Workload(network, V, 1000, batch=3, dtype="float32"), 0, H100).by_kind["activations"]
    assert found == blocks(3 * 1000 * 8) + 3 * 1000 * (D + E) * 4


def test_autocast_adds_the_float32_copies_of_a_normalisation():
    """By hand: ids, the half-precision embedding, its float32 copy, and the float32 result.

    Beside them stand a mean and a reciprocal deviation per token, and the copies of weight and bias.
    """
    found = predict(Workload(normed, V, 1000, dtype="float16"), 0, H100).by_kind["activations"]
    by_hand = blocks(8000) + 1000 * D * (2 + 4 + 4) + 2 * blocks(4000) + 2 * blocks(D * 4)
    assert found == by_hand


def test_without_autocast_there_are_no_copies():
    """The normalisation then runs in half precision."""
    found = predict(Workload(normed, V, 1000, dtype="float16", autocast=False), 0, H100).by_kind["activations"]
    with_copies = predict(Workload(normed, V, 1000, dtype="float16"), 0, H100).by_kind["activations"]
    assert with_copies - found >= 1000 * D * (4 + 2)


def test_training_holds_gradients_and_two_states_per_parameter():
    """By hand, in AdamW's step: parameters, gradients, two states, ids, loss, and a workspace per thread.

    The two temporaries of the largest parameter are among the activations. The counts of steps stay on the CPU.
    """
    found = predict(Workload(network, V, N, dtype="float32", train=True), WORKSPACE, H100)
    assert found.by_kind == {
        "parameters": PARAMETERS,
        "gradients": PARAMETERS,
        "optimizer": 2 * PARAMETERS,
        "activations": IDS + 512 + 2 * 4 * V * D,
        "scratch": 0,
        "workspace": 2 * WORKSPACE,
    }


def test_a_peak_among_activations_still_holds_the_optimizer_state():
    """With many tokens the peak lies in the backward pass of the loss, before any gradient is accumulated."""
    found = predict(Workload(network, E, 5000, dtype="float32", train=True), 0, H100).by_kind
    assert (found["optimizer"], found["gradients"]) == (2 * PARAMETERS, 0)


def test_a_prediction_is_the_same_every_time():
    """The second one finds nothing of the first."""
    workload = Workload(normed, V, 1000, dtype="float16")
    assert predict(workload, 0, H100) == predict(workload, 0, H100)


def test_a_prediction_leaves_autocast_as_it_was():
    """A float16 normalisation under CPU autocast has the dtype that it had before."""

    def seen() -> torch.dtype:
        with torch.autocast("cpu", dtype=torch.float16):
            return nn.functional.layer_norm(torch.ones(2, 4, dtype=torch.float16), (4,)).dtype

    before = seen()
    predict(Workload(normed, V, N, dtype="float16"), 0, H100)
    assert seen() is before


def test_a_prediction_leaves_the_default_dtype_and_device_as_they_were():
    """A tensor made afterwards is a real one in float32."""
    predict(Workload(normed, V, N, dtype="float16"), 0, H100)
    after = torch.ones(1)
    assert (type(after), after.dtype, after.device.type) == (torch.Tensor, torch.float32, "cpu")


def test_a_footprint_can_be_sent_between_processes():
    """It is plain data."""
    found = predict(Workload(network, V, N, dtype="float32"), 0, H100)
    assert pickle.loads(pickle.dumps(found)) == found


def test_what_one_call_needs_is_counted_without_what_exists_before_it():
    """Two products at once of 1000 x 1000 in half precision, beside operands that are not counted."""

    def prepare(device: torch.device):
        x = torch.ones(1000, 1000, device=device, dtype=torch.float16)
        return lambda: (x @ x) + (x @ x)

    assert predict_extra(prepare, "float16", H100) == 3 * blocks(2 * 1000**2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":4096:2:16:8", 8_519_680), (":4096:8", 32 * 2**20), ("4096:2:16:8", 8_519_680), (":0:0", 0)],
)
def test_the_workspace_is_its_pairs_of_kib_and_count(text, expected):
    """:4096:2:16:8 is 2 * 4096 KiB + 8 * 16 KiB = 8.125 MiB."""
    assert workspace_bytes(text) == expected


@pytest.mark.parametrize("text", ["", ":", ":4096", ":4096:2:16", "4096 KiB", ":a:b", ":4096:2:", ":-1:2"])
def test_a_workspace_that_cannot_be_read_is_refused(text):
    """The message shows the form that is expected and what was found."""
    with pytest.raises(UsageError, match="must read like :4096:2:16:8, not ") as caught:
        workspace_bytes(text)
    assert repr(text) in str(caught.value)
