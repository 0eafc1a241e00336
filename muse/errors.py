"""Every exception that MUSE raises on purpose.

MuseError
├── UsageError          the user asked for something that does not exist or cannot be
├── LedgerError         the claim files are malformed; carries every fault at once
├── StoreError          a record file is unreadable or would be overwritten
├── Unmeasured          a probe could not measure; carries a stable reason code
├── Disagreement        an operator computes something else than its definition
└── VerdictError        a verdict that a test must report
    ├── ClaimRefuted
    ├── ClaimInconclusive
    └── VerdictChanged
"""


class MuseError(Exception):
    """Base of all; its text is one line for the user."""

    exit_code = 3


class UsageError(MuseError):
    """The request itself is wrong: an unknown preset, zero tokens, a budget above the card."""

    exit_code = 2


class LedgerError(MuseError):
    """Claim files are malformed. A malformed claim is never a refuted one."""

    exit_code = 4

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))

    def __reduce__(self) -> tuple[type["LedgerError"], tuple[list[str]]]:
        return LedgerError, (self.faults,)


class StoreError(MuseError):
    """A record file cannot be trusted: an unreadable row, or a name already taken."""

    exit_code = 4


class Unmeasured(MuseError):
    """A probe could not measure. `reason` is a stable code, the text says what happened."""

    exit_code = 3

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")

    def __reduce__(self) -> tuple[type["Unmeasured"], tuple[str, str]]:
        return Unmeasured, (self.reason, self.detail)


class Disagreement(MuseError):
    """An operator computes something else than its definition: a mistake of ours, and nothing about it is measured."""

    exit_code = 1


class VerdictError(MuseError):
    """A verdict raised so that a test runner sees it."""

    exit_code = 1


class ClaimRefuted(VerdictError):
    """The measurement lies outside the claim's bound."""


class ClaimInconclusive(VerdictError):
    """The measured interval straddles the bound."""


class VerdictChanged(VerdictError):
    """A claim recorded as unmeasured has now been measured: its record needs a new word."""
