"""What both the launches and the memory that they leave behind depend on."""

ROWS = 16
"""Rows of T that a thread has, and for which the forward pass leaves the backward pass one state."""
