"""`SecretsApi`: names in refs, with the configuration and the identity handed over by the caller.

The interface of the package before this one, from its version 0.3. A ref is looked up in one store, if its policy
allows the role of the identity. A policy is a guard against mistakes and no boundary.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ._lookup import ask, found, statuses, text


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

    @contextmanager
    def _file(self) -> Generator[tuple[str, tuple[int, ...]], None, None]:
        """The configuration as a file that only the program sees: in memory, where the system has that."""
        data = json.dumps({"mxm_secrets": {**self.config, "refs_only": True}}).encode()
        if hasattr(os, "memfd_create"):
            made = os.memfd_create("mxm-secrets")
            try:
                # A host that has closed its standard streams gets one of their numbers.
                descriptor = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, 3)
            finally:
                os.close(made)
            try:
                os.write(descriptor, data)
                yield f"/dev/fd/{descriptor}", (descriptor,)
            finally:
                os.close(descriptor)
        else:
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                yield file.name, ()

    def get_secret(self, secret_name: str, *, identity: Identity, default: str | None = None) -> str | None:
        """Reads a secret by its name in refs, as text; one newline at its end is dropped.

        Args:
            secret_name: A name in refs.
            identity: Whose role must be allowed.
            default: What a missing secret is, never one that is denied or that failed.

        Raises:
            KeyError: refs has no such name.
            SecretDenied: The policy does not allow the role; it is a PermissionError.
            SecretFailed: The backend cannot say whether it has the secret.
            UsageError: The configuration or the role is wrong; it is a ValueError.
        """
        if secret_name not in self.config["refs"]:
            raise KeyError(secret_name)
        with self._file() as (path, descriptors):
            (answer,) = ask(
                [secret_name], config=path, environment={"MXM_ROLE": identity.role}, descriptors=descriptors
            )
        return text(answer) if found(answer) else default

    def check_ready(self) -> bool:
        """Whether the backend of every store is ready. No secret is read."""
        wanted = {store["backend"] for store in self.config["stores"].values()}
        with self._file() as (path, descriptors):
            return wanted <= {name for name, status in statuses(path, descriptors).items() if status == "ready"}
