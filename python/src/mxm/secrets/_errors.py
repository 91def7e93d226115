"""What a lookup raises. No error holds a value."""

from __future__ import annotations


class SecretsError(Exception):
    """Base of all errors of this package.

    Attributes:
        key: The name that was asked for; empty if there is none.
        reasons: What each backend said, one line each, never a value.
        transient: Whether the same call may do a moment later: a store was away, busy or too slow.
    """

    key: str
    reasons: tuple[str, ...]
    transient: bool = False

    def __init__(
        self,
        message: str,
        key: str = "",
        reasons: tuple[str, ...] = (),
        hints: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.reasons = reasons
        for hint in hints:
            self.add_note(f"hint: {hint}")

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The notes are in __dict__, which pickle puts back.
        return (type(self), (self.message, self.key, self.reasons), self.__dict__)


class SecretMissing(SecretsError, LookupError):
    """Every backend that was asked said that it does not have the secret."""


class SecretFailed(SecretsError):
    """A backend cannot say whether it has the secret, or the program failed."""


class SecretDenied(SecretsError, PermissionError):
    """A policy does not let this role read the secret."""


class UsageError(SecretsError, ValueError):
    """A name, an option or the configuration is wrong; nothing was asked."""


class ProgramMissing(SecretsError, FileNotFoundError):
    """The program that belongs to this package is not installed."""
