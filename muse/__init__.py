"""MUSE verifies what documents say about memory-efficient language models."""

__version__ = "0.2.0"
