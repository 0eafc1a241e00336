"""Operators, each in a folder of its own: the definition first, then whatever computes it faster.

Nothing here knows the claims or the models that use it. Each operator's own folder has its public function, its
definition (`reference`), its Triton kernel, which is imported when it first runs, and a README with the mathematics.
They are imported at once because a submodule that is imported later would take its function's name.
"""

from kernels.bk_core import bk_core as bk_core
from kernels.dispatch import implementation as implementation
from kernels.hyperbolic_attention import hyperbolic_attention as hyperbolic_attention
from kernels.hyperbolic_scan import hyperbolic_scan as hyperbolic_scan
from kernels.linear_attention import linear_attention as linear_attention
from kernels.linear_attention import linear_attention_step as linear_attention_step
from kernels.linear_cross_entropy import linear_cross_entropy as linear_cross_entropy
from kernels.linear_scan import linear_scan as linear_scan
from kernels.low_rank_ffn import low_rank_ffn as low_rank_ffn
from kernels.semiseparable import semiseparable as semiseparable
from kernels.semiseparable import semiseparable_diagonal as semiseparable_diagonal
from kernels.tensor_train import tensor_train as tensor_train
from kernels.tensor_train import tensor_train_logits as tensor_train_logits
