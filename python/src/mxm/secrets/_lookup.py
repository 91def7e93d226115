"""Runs ``mxm-secrets get --json`` and reads its answer.

The answer is what the JSON says. The exit status is not used: another thread of
the host may reap the program, and Python then takes the status for 0.
"""

from __future__ import annotations

import os
from binascii import a2b_base64

from ._errors import SecretDenied, SecretFailed, SecretMissing, SecretsError, UsageError
from ._program import NAME, program

# What a lookup needs is imported by the first one: it is most of what importing this package would cost.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Literal, TypeAlias, overload

    OnError: TypeAlias = Literal["stop", "continue"]
    Path: TypeAlias = str | os.PathLike[str]

# The last member of each line. It is cut out before the rest is read as JSON, so that no copy of the value is made.
_VALUE = b',"value_base64":'


def _load() -> None:
    for name in ("json", "select", "signal", "subprocess"):
        __import__(name)


# A child of a fork would wait forever for what another thread of its parent was just importing.
os.register_at_fork(before=_load)


class _Answer:
    """What the program says of one name; the value is wiped by whoever takes it."""

    __slots__ = ("hints", "key", "outcome", "reasons", "value")

    def __init__(self, record: dict[str, Any], value: bytearray | None) -> None:
        steps = [step for step in record["chain"] if step["reason"] is not None]
        self.key: str = record["name"]
        self.outcome: str = record["outcome"]
        self.reasons = tuple(f"{step['backend']}: {step['answer']}: {step['reason']}" for step in steps)
        self.hints = tuple(dict.fromkeys(step["hint"] for step in steps if step["hint"] is not None))
        self.value = value


class _Buffer:
    """Bytes that are read and wiped, also where they have been before the buffer grew."""

    def __init__(self) -> None:
        self.bytes = bytearray(1 << 12)
        self.used = 0

    def read(self, descriptor: int) -> bool:
        """Reads what there is; False at the end."""
        if self.used == len(self.bytes):
            grown = bytearray(2 * self.used)
            grown[: self.used] = self.bytes
            self.wipe()
            self.bytes = grown
        with memoryview(self.bytes) as view:
            count = os.readv(descriptor, [view[self.used :]])
        self.used += count
        return count > 0

    def wipe(self) -> None:
        self.bytes[:] = bytes(len(self.bytes))


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
) -> list[str]:
    options: list[str] = []
    if backends is not None:
        if isinstance(backends, str):
            raise TypeError("backends must be a sequence of names, not a str")
        options.append("--backend=" + ",".join(backends))
    if on_error is not None:
        options.append(f"--on-error={on_error}")
    if timeout is not None:
        options.append(f"--timeout={timeout:f}")
    if config is not None:
        options.append("--config=" + os.fspath(config))
    return options


def _environment(no_input: bool | None, more: Mapping[str, str]) -> dict[str, str]:
    """Says whether a person is there: the program's standard error is read here, so it cannot see that itself."""
    environment = {**os.environ, **more}
    if no_input is not None:
        environment["MXM_SECRETS_NO_INPUT"] = "1" if no_input else "0"
    elif "MXM_SECRETS_NO_INPUT" not in environment:
        environment["MXM_SECRETS_NO_INPUT"] = "0" if _is_terminal() else "1"
    if environment["MXM_SECRETS_NO_INPUT"] == "0" and _is_terminal():
        environment.setdefault("GPG_TTY", os.ttyname(2))
    return environment


def _is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """Asks the program to end, so that it ends what it has started; after two seconds it is killed."""
    import signal
    import subprocess

    child.send_signal(signal.SIGTERM)
    try:
        child.wait(2)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _run(
    arguments: list[str], environment: dict[str, str], descriptors: Sequence[int]
) -> tuple[_Buffer, str]:
    """Standard output, which the caller wipes, and standard error."""
    import select
    import subprocess

    output, messages = _Buffer(), _Buffer()
    try:
        child = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            close_fds=True,
            pass_fds=descriptors,
        )
    except (ValueError, UnicodeEncodeError):
        raise UsageError("a name or an option has a character that no argument can have") from None
    assert child.stdout is not None and child.stderr is not None
    try:
        with child.stdout, child.stderr:
            into = {child.stdout.fileno(): output, child.stderr.fileno(): messages}
            poll = select.poll()
            for descriptor in into:
                poll.register(descriptor, select.POLLIN)
            while into:
                for descriptor, _ in poll.poll():
                    if not into[descriptor].read(descriptor):
                        poll.unregister(descriptor)
                        del into[descriptor]
        child.wait()
    except BaseException:
        output.wipe()
        _end(child)
        raise
    return output, bytes(messages.bytes[: messages.used]).decode("utf-8", "replace")


def _answers(output: _Buffer) -> list[_Answer]:
    """Every whole line; one that was cut off is none."""
    import json

    answers: list[_Answer] = []
    start = 0
    with memoryview(output.bytes) as view:
        while (end := output.bytes.find(b"\n", start, output.used)) >= 0:
            split = output.bytes.rfind(_VALUE, start, end)
            record: dict[str, Any] = json.loads(bytes(view[start:split]) + b"}")
            text = view[split + len(_VALUE) : end - 1]
            value = _decode(text[1:-1]) if text[0] == ord('"') else None
            answers.append(_Answer(record, value))
            text.release()
            start = end + 1
    return answers


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
    *,
    backends: Sequence[str] | None = None,
    on_error: OnError | None = None,
    timeout: float | None = None,
    no_input: bool | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> list[_Answer]:
    """Asks the program for all keys at once; the answers are in the order of the keys.

    The default stays here: the program is given an empty one, so that it says which secrets are missing when failures
    are passed over, too.

    Raises:
        TypeError: An argument has the wrong type.
        UsageError, SecretDenied, SecretFailed, ProgramMissing: There are no answers.
    """
    for key in keys:
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a key must be a str, not {type(key).__name__}")
        if "\0" in key:
            raise UsageError("a key must not have a NUL character")
    options = _options(backends, on_error, timeout, config)
    arguments = [program(), "get", "--json", "--default=", *options, "--", *keys]
    output, messages = _run(arguments, _environment(no_input, environment or {}), descriptors)
    try:
        answers = _answers(output)
    finally:
        output.wipe()
    if [answer.key for answer in answers] != list(keys):
        for answer in answers:
            wipe(answer.value)
        raise _refusal(messages, keys)
    return answers


def _ask_one(
    key: str,
    backends: Sequence[str] | None,
    on_error: OnError | None,
    timeout: float | None,
    no_input: bool | None,
    config: Path | None,
) -> _Answer:
    (answer,) = ask(
        [key], backends=backends, on_error=on_error, timeout=timeout, no_input=no_input, config=config
    )
    return answer


def statuses(config: Path, descriptors: Sequence[int]) -> dict[str, str]:
    """What every backend says of itself: its name and ready, unavailable, failed or not built in."""
    import json

    arguments = [program(), "list-backends", "--json", "--config=" + os.fspath(config)]
    output, messages = _run(arguments, _environment(True, {}), descriptors)
    lines = bytes(output.bytes[: output.used]).splitlines()
    if not lines:
        raise _refusal(messages, ())
    return {record["backend"]: record["status"] for record in map(json.loads, lines)}


def wipe(value: bytearray | None) -> None:
    """Overwrites a value."""
    if value is not None:
        value[:] = bytes(len(value))


def found(answer: _Answer) -> bool:
    """Whether there is a value.

    Raises:
        SecretFailed: A backend cannot say.
    """
    if answer.outcome == "failed":
        # Nothing of the value is here: a failure has none.
        raise SecretFailed(_message(answer), answer.key, answer.reasons, answer.hints)
    return answer.outcome == "found"


def _message(answer: _Answer, outcome: str = "failed") -> str:
    """As the program says it: the name, what became of it, and why."""
    return ": ".join(filter(None, [answer.key, outcome, "; ".join(answer.reasons)]))


def _text(answer: _Answer) -> str | None:
    """The value as text, without one newline at its end; None if it is not UTF-8. Wipes the value."""
    value = answer.value if answer.value is not None else bytearray()
    length = len(value) - value.endswith(b"\n")
    try:
        with memoryview(value) as view:
            return str(view[:length], "utf-8")
    except UnicodeDecodeError:
        # It holds the whole value: it must not become the context of another error.
        return None
    finally:
        wipe(value)


def text(answer: _Answer) -> str:
    """The value as text.

    Raises:
        SecretFailed: It is not UTF-8.
    """
    decoded = _text(answer)
    if decoded is None:
        raise SecretFailed(
            f"{answer.key}: failed: the value is not UTF-8",
            answer.key,
            hints=("get_secret_bytes gives the bytes",),
        )
    return decoded


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
    answer = _ask_one(key, backends, on_error, timeout, no_input, config)
    return text(answer) if found(answer) else default


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
    answer = _ask_one(key, backends, on_error, timeout, no_input, config)
    if not found(answer):
        raise SecretMissing(_message(answer, "missing"), answer.key, answer.reasons, answer.hints)
    return text(answer)


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
    answer = _ask_one(key, backends, on_error, timeout, no_input, config)
    if not found(answer):
        return default
    try:
        return bytes(answer.value or b"")
    finally:
        wipe(answer.value)


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
    answers = ask(
        asked,
        backends=backends,
        on_error=on_error,
        timeout=timeout,
        no_input=no_input,
        config=config,
    )
    try:
        return {answer.key: text(answer) if found(answer) else None for answer in answers}
    finally:
        for answer in answers:
            wipe(answer.value)
