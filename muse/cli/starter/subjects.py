"""The networks that claims may name. This module is always loaded, theirs only when a claim needs one."""


def register(subjects):
    """Name each network, what builds it, and how many token ids it knows."""
    subjects.network("tiny", "model:Tiny", vocabulary=256)
