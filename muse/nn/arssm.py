r"""The "adaptive-rank semiseparable" layer that Phase 1 has in place of attention: O(N) time and memory.

.. math:: g_t &= \sigma(W_2 \operatorname{ReLU}(W_1 x_t + b_1) + b_2) \in (0, 1)^R \\
          k_t &= \sum_{s \le t} g_s \odot U x_s \\
          y_t &= c_{-1} \odot x_{t-1} + c_0 \odot x_t + c_1 \odot x_{t+1} + W_o (k_t \odot g_t \odot V x_t) + b_o
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class ARSSM(nn.Module):
    """A convolution over three tokens, and a running sum of R scalars that never decays.

    With h = d / 4: d h + h + h R + R for the gate, 2 d R, 3 d, and R d + d parameters. The gate is most of them.
    All R ranks are always computed, so the gate saves nothing; the convolution sees one token ahead.
    """

    def __init__(self, d_model: int, rank: int) -> None:
        super().__init__()
        hidden = d_model // 4
        self.gate = nn.Sequential(nn.Linear(d_model, hidden), nn.ReLU(), nn.Linear(hidden, rank), nn.Sigmoid())
        self.u = nn.Linear(d_model, rank, bias=False)
        self.v = nn.Linear(d_model, rank, bias=False)
        self.near = nn.Conv1d(d_model, d_model, 3, padding=1, groups=d_model, bias=False)
        self.out = nn.Linear(rank, d_model)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the measured network started; the gate and the biases keep PyTorch's start."""
        nn.init.xavier_uniform_(self.u.weight, gain=0.02)
        nn.init.xavier_uniform_(self.v.weight, gain=0.02)
        nn.init.normal_(self.near.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        g = self.gate(x)
        state = (self.u(x) * g).cumsum(1)
        far = self.out(state * (self.v(x) * g))
        near: Tensor = self.near(x.transpose(1, 2)).transpose(1, 2)
        return near + far
