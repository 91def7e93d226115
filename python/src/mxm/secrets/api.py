"""`SecretsApi`: names in refs, with the configuration and the identity handed over by the caller.

The interface of the package before this one, from its version 0.3. A ref is looked up in one store, if its policy
allows the role of the identity. A policy is a guard against mistakes and no boundary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ._errors import UsageError
from ._lookup import ask, encode, found, statuses, text

# The configuration, which only the program sees.
_CONFIG = "/dev/fd/0"


def _plain(value: Any) -> Mapping[Any, Any] | list[Any]:
    """What json does not know, of what a configuration may consist of."""
    if isinstance(value, Mapping):
        return {**value}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [*value]
    raise TypeError(f"the configuration must be plain data: found a {type(value).__name__}")


class Identity(Protocol):
    """What is asked of an identity; ``RuntimeIdentity`` of mxm-types is one."""

    @property
    def role(self) -> str:
        """The principal."""
        ...


@dataclass(frozen=True, slots=True)
class SecretsApi:
    """Secrets by the names in ``refs``.

    Attributes:
        config: The section with ``stores``, ``refs`` and ``policies``.
    """

    config: Mapping[str, Any]

    @classmethod
    def from_config_data(cls, config: Mapping[str, Any]) -> SecretsApi:
        """Takes the section ``mxm_secrets`` as plain data.

        Raises:
            TypeError: stores, refs or policies is no mapping.
        """
        for part in ("stores", "refs", "policies"):
            if not isinstance(config.get(part), Mapping):
                raise TypeError(f"{part} must be a mapping")
        return cls(config)

    def _file(self) -> bytes:
        """The configuration as the program reads it."""
        data = {"mxm_secrets": {**self.config, "refs_only": True}}
        try:
            # To YAML, the pair of surrogates that JSON writes for a character is two.
            return json.dumps(data, ensure_ascii=False, default=_plain).encode()
        except UnicodeEncodeError:
            raise UsageError("the configuration must be valid Unicode: found a lone surrogate") from None

    def get_secret(self, secret_name: str, *, identity: Identity, default: str | None = None) -> str | None:
        """Reads a secret by its name in refs, as text; one newline at its end is dropped.

        Args:
            secret_name: A name in refs, also with a field: ``name#field``.
            identity: Whose role must be allowed.
            default: What a missing secret is, never one that is denied or that failed.

        Raises:
            KeyError: refs has no such name.
            TypeError: The configuration is no plain data, or the role no str.
            SecretDenied: The policy does not allow the role; it is a PermissionError.
            SecretFailed: The backend cannot say whether it has the secret.
            UsageError: The configuration or the role is wrong; it is a ValueError.
        """
        if secret_name.partition("#")[0] not in self.config["refs"]:
            raise KeyError(secret_name)
        role = identity.role
        if not isinstance(role, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a role must be a str, not {type(role).__name__}")
        return ask(
            [secret_name],
            lambda answers: text(answers[0]) if found(answers[0]) else default,
            config=_CONFIG,
            role=encode(role, "a role"),
            stdin=self._file(),
        )

    def check_ready(self) -> bool:
        """Whether the backend of every store is ready. No secret is read."""
        # What it says of a configuration that is wrong comes first.
        known = statuses(_CONFIG, self._file())
        return all(known.get(store["backend"]) == "ready" for store in self.config["stores"].values())
