"""What a program that uses the package looks like to type checkers; it is checked, not run."""

from typing import assert_type

from mxm.secrets import SecretFailed, get_secret, get_secret_bytes, get_secrets, require_secret

assert_type(get_secret("a"), str | None)
assert_type(get_secret(key="a", default="b"), str)
assert_type(get_secret("a", None, backends=["env"], timeout=1), str | None)
assert_type(get_secret_bytes("a"), bytes | None)
assert_type(get_secret_bytes("a", b""), bytes)
assert_type(require_secret("a", on_error="continue"), str)
assert_type(get_secrets(["a"]), dict[str, str | None])
get_secret("a", on_error="stopp")  # type: ignore[call-overload]  # pyright: ignore
get_secret("a", default=5)  # type: ignore[call-overload]  # pyright: ignore
try:
    require_secret("a")
except SecretFailed as error:
    assert_type(error.reasons, tuple[str, ...])
