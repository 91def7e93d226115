"""Runs ``mxm-secrets get --json`` and reads its answer.

The answer is what the JSON says. The exit status is not used: another thread of
the host may reap the program, and Python then takes the status for 0.
"""

from __future__ import annotations

import os
from binascii import a2b_base64

from ._errors import SecretDenied, SecretFailed, SecretMissing, SecretsError, UsageError
from ._process import Buffer, run
from ._program import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Literal, TypeAlias, TypeVar, overload

    OnError: TypeAlias = Literal["stop", "continue"]
    Path: TypeAlias = str | os.PathLike[str]
    T = TypeVar("T")

# The last member of each line. It is cut out before the rest is read as JSON, so that no copy of the value is made.
_VALUE = b',"value_base64":'


class _Answer:
    """What the program says of one name."""

    __slots__ = ("hints", "key", "outcome", "reasons", "transient", "value")

    def __init__(self, record: dict[str, Any], value: bytearray | None) -> None:
        steps = [step for step in record["chain"] if step["reason"] is not None]
        self.key: str = record["name"]
        self.outcome: str = record["outcome"]
        self.reasons = tuple(f"{step['backend']}: {step['answer']}: {step['reason']}" for step in steps)
        self.hints = tuple(dict.fromkeys(step["hint"] for step in steps if step["hint"] is not None))
        self.transient = any(step["transient"] for step in steps)
        self.value = value


def _decode(text: memoryview) -> bytearray:
    """Decodes base64 in pieces, so that every piece takes the memory of the one before it."""
    value = bytearray(len(text) // 4 * 3)
    piece, end = 4 * 64, 0
    for start in range(0, len(text), piece):
        decoded = a2b_base64(text[start : start + piece])
        value[end : end + len(decoded)] = decoded
        end += len(decoded)
        size = len(decoded)
        del decoded
        # The same size again, with nothing in it.
        a2b_base64(b"A" * (-(-size // 3) * 4))
    del value[end:]
    return value


def _options(
    backends: Sequence[str] | None,
    on_error: OnError | None,
    timeout: float | None,
    config: Path | None,
) -> list[bytes]:
    options: list[str] = []
    if backends is not None:
        if isinstance(backends, str):
            raise TypeError("backends must be a sequence of names, not a str")
        options.append("--backend=" + ",".join(backends))
    if on_error is not None:
        options.append(f"--on-error={on_error}")
    if timeout is not None:
        try:
            options.append(f"--timeout={timeout:f}")
        except ValueError:
            raise TypeError(f"timeout must be a number, not {type(timeout).__name__}") from None
    encoded = [encode(option, "an option") for option in options]
    if config is not None:
        path = encode(os.fspath(config), "the path of the configuration", os.fsencode)
        encoded.append(b"--config=" + path)
    return encoded


def encode(text: str, what: str, by: Callable[[str], bytes] = str.encode) -> bytes:
    """As the program reads it: in UTF-8, whatever the encoding of the host."""
    try:
        encoded = by(text)
    except UnicodeEncodeError:
        raise UsageError(f"{what} must be valid Unicode: found a lone surrogate") from None
    if b"\0" in encoded:
        raise UsageError(f"{what} must not have a NUL character")
    return encoded


def _answers(output: Buffer, answers: list[_Answer]) -> None:
    """Adds the answer of every whole line; one that was cut off is none."""
    import json

    start = 0
    with memoryview(output.bytes) as view:
        while (end := output.bytes.find(b"\n", start, output.used)) >= 0:
            split = output.bytes.rfind(_VALUE, start, end)
            record: dict[str, Any] = json.loads(bytes(view[start:split]) + b"}")
            with view[split + len(_VALUE) : end - 1] as text:
                answers.append(_Answer(record, _decode(text[1:-1]) if text[0] == ord('"') else None))
            start = end + 1


def _refusal(messages: str, keys: Sequence[str]) -> SecretsError:
    """What the program has said instead of an answer."""
    said = [line.removeprefix(f"{NAME}: ") for line in messages.splitlines()]
    hints = tuple(line.removeprefix("hint: ") for line in said if line.startswith("hint: "))
    reasons = tuple(line for line in said if not line.startswith("hint: "))
    key = next((key for key in keys if any(line.startswith(f"{key}: denied") for line in reasons)), "")
    message = "; ".join(reasons) or f"{NAME} gave no answer"
    if key:
        return SecretDenied(message, key, reasons, hints)
    kind = UsageError if reasons else SecretFailed
    return kind(message, keys[0] if len(keys) == 1 else "", reasons, hints)


def ask(
    keys: Sequence[str],
    read: Callable[[list[_Answer]], T],
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
    role: bytes | None = None,
    stdin: bytes | None = None,
) -> T:
    """Asks the program for all keys at once, and returns what `read` makes of the answers, in the order of the keys.

    The values are wiped then. The default stays here: the program is given an empty one, so that it says which secrets
    are missing when failures are passed over, too.

    Raises:
        TypeError: An argument has the wrong type.
        UsageError, SecretDenied, SecretFailed, ProgramMissing: There are no answers.
    """
    asked: list[bytes] = []
    for key in keys:
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a key must be a str, not {type(key).__name__}")
        asked.append(encode(key, "a key"))

    def read_answers(output: Buffer, messages: str) -> T:
        answers: list[_Answer] = []
        try:
            _answers(output, answers)
            if [answer.key for answer in answers] != list(keys):
                raise _refusal(messages, keys)
            return read(answers)
        finally:
            for answer in answers:
                if answer.value is not None:
                    answer.value[:] = bytes(len(answer.value))

    options = _options(backends, on_error, timeout, config)
    arguments = [b"get", b"--json", b"--default=", *options, b"--", *asked]
    return run(read_answers, arguments, no_input=no_input, role=role, stdin=stdin)


def _ask_one(
    key: str,
    read: Callable[[_Answer], T],
    backends: Sequence[str] | None,
    on_error: OnError | None,
    timeout: float | None,
    no_input: bool | None,
    config: Path | None,
) -> T:
    return ask(
        [key],
        lambda answers: read(answers[0]),
        backends=backends,
        on_error=on_error,
        timeout=timeout,
        no_input=no_input,
        config=config,
    )


def statuses(config: Path, stdin: bytes) -> dict[str, str]:
    """What every backend says of itself: its name and ready, unavailable, failed or not built in."""

    def read(output: Buffer, messages: str) -> dict[str, str]:
        import json

        lines = bytes(output.bytes[: output.used]).splitlines()
        if not lines:
            raise _refusal(messages, ())
        return {record["backend"]: record["status"] for record in map(json.loads, lines)}

    arguments = [b"list-backends", b"--json", *_options(None, None, None, config)]
    return run(read, arguments, no_input=True, stdin=stdin)


def found(answer: _Answer) -> bool:
    """Whether there is a value.

    Raises:
        SecretFailed: A backend cannot say.
    """
    if answer.outcome == "failed":
        # Nothing of the value is here: a failure has none.
        error = SecretFailed(_message(answer), answer.key, answer.reasons, answer.hints)
        error.transient = answer.transient
        raise error
    return answer.outcome == "found"


def _message(answer: _Answer, outcome: str = "failed") -> str:
    """As the program says it: the name, what became of it, and why."""
    return ": ".join(filter(None, [answer.key, outcome, "; ".join(answer.reasons)]))


def text(answer: _Answer) -> str:
    """The value as text, without one newline at its end.

    Raises:
        SecretFailed: It is not UTF-8.
    """
    value = answer.value or bytearray()
    try:
        with memoryview(value) as view:
            return str(view[: len(value) - value.endswith(b"\n")], "utf-8")
    except UnicodeDecodeError:
        message = f"{answer.key}: failed: the value is not UTF-8"
        hint = "get_secret_bytes gives the bytes"
        raise SecretFailed(message, answer.key, hints=(hint,)) from None


if TYPE_CHECKING:

    @overload
    def get_secret(
        key: str,
        default: str,
        *,
        backends: Sequence[str] | None = None,
        on_error: OnError | None = None,
        timeout: float | None = None,
        no_input: bool | None = None,
        config: Path | None = None,
    ) -> str: ...
    @overload
    def get_secret(
        key: str,
        default: None = None,
        *,
        backends: Sequence[str] | None = None,
        on_error: OnError | None = None,
        timeout: float | None = None,
        no_input: bool | None = None,
        config: Path | None = None,
    ) -> str | None: ...


def get_secret(
    key: str,
    default: str | None = None,
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
) -> str | None:
    """Reads a secret as text; one newline at its end is dropped.

    Args:
        key: The name, such as ``prod/api-key`` or ``prod/db#password``.
        default: What a missing secret is. It never stands for a failure, unless failures are passed over.
        backends: The chain, in order. A backend named here that is not set up fails.
        on_error: ``"continue"`` passes over a backend that fails; then a secret that no other backend has is missing.
        timeout: Seconds that each backend may take.
        no_input: True: never prompt; False: a person is there. By default a terminal at standard error decides.
        config: The configuration file.

    Returns:
        The value, or the default if the secret is missing.

    Raises:
        SecretFailed: A backend cannot say whether it has the secret, or the value is not UTF-8.
        SecretDenied: A policy does not let this role read it.
        UsageError: The key, an option or the configuration is wrong.
        ProgramMissing: The program of this package is not installed.
    """

    def read(answer: _Answer) -> str | None:
        return text(answer) if found(answer) else default

    return _ask_one(key, read, backends, on_error, timeout, no_input, config)


def require_secret(
    key: str,
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
) -> str:
    """Like `get_secret`, but a missing secret is an error.

    Raises:
        SecretMissing: Every backend said that it does not have it.
        SecretFailed, SecretDenied, UsageError, ProgramMissing: As `get_secret`.
    """

    def read(answer: _Answer) -> str:
        if not found(answer):
            raise SecretMissing(_message(answer, "missing"), answer.key, answer.reasons, answer.hints)
        return text(answer)

    return _ask_one(key, read, backends, on_error, timeout, no_input, config)


if TYPE_CHECKING:

    @overload
    def get_secret_bytes(
        key: str,
        default: bytes,
        *,
        backends: Sequence[str] | None = None,
        on_error: OnError | None = None,
        timeout: float | None = None,
        no_input: bool | None = None,
        config: Path | None = None,
    ) -> bytes: ...
    @overload
    def get_secret_bytes(
        key: str,
        default: None = None,
        *,
        backends: Sequence[str] | None = None,
        on_error: OnError | None = None,
        timeout: float | None = None,
        no_input: bool | None = None,
        config: Path | None = None,
    ) -> bytes | None: ...


def get_secret_bytes(
    key: str,
    default: bytes | None = None,
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
) -> bytes | None:
    """Like `get_secret`, but gives exactly the bytes that are stored."""

    def read(answer: _Answer) -> bytes | None:
        return bytes(answer.value or b"") if found(answer) else default

    return _ask_one(key, read, backends, on_error, timeout, no_input, config)


def get_secrets(
    keys: Iterable[str],
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
) -> dict[str, str | None]:
    """Reads several secrets in one call, looked up at the same time.

    Returns:
        Each key with its value, or None if it is missing, in the order of the keys.

    Raises:
        TypeError: keys is a str.
        SecretFailed: A backend cannot say whether it has one of them; the first one is named.
        SecretDenied, UsageError, ProgramMissing: As `get_secret`.
    """
    if isinstance(keys, str):
        raise TypeError("keys must be an iterable of names, not a str")
    asked = list(dict.fromkeys(keys))
    if not asked:
        return {}
    return ask(
        asked,
        lambda answers: {answer.key: text(answer) if found(answer) else None for answer in answers},
        backends=backends,
        on_error=on_error,
        timeout=timeout,
        no_input=no_input,
        config=config,
    )
