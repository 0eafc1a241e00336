"""Operators, each in a folder of its own: the definition first, then whatever computes it faster.

Nothing here knows the claims or the models that use it.
"""
