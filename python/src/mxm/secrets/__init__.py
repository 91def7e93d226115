"""Read one secret by name from the first backend that has it.

>>> from mxm.secrets import get_secret
>>> key = get_secret("prod/api-key")

Each call runs the program ``mxm-secrets`` that this package contains. A key is
a name such as ``prod/api-key``, or with a field ``prod/db#password``.

A missing secret is ``None`` or the default. A failure (a locked key, a timeout)
raises `SecretFailed`: it is never taken for a missing secret. Values are read
into a buffer that is wiped, but a ``str`` or ``bytes`` that you are given is
yours, and Python cannot wipe it.
"""

from ._errors import (
    ProgramMissing,
    SecretDenied,
    SecretFailed,
    SecretMissing,
    SecretsError,
    UsageError,
)
from ._lookup import get_secret, get_secret_bytes, get_secrets, require_secret

__all__ = [
    "ProgramMissing",
    "SecretDenied",
    "SecretFailed",
    "SecretMissing",
    "SecretsError",
    "UsageError",
    "get_secret",
    "get_secret_bytes",
    "get_secrets",
    "require_secret",
]
