"""Every documented claim is a test; its id is its address."""


def test_claim(claim, decide):
    """The verdict is the recorded one: refuted claims are strict expected failures, unmeasured ones are skipped."""
    decide(claim)
