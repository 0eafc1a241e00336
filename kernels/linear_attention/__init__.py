"""Normalised linear attention."""

from kernels.linear_attention.reference import linear_attention as linear_attention
