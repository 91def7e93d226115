"""Runs the program, each time in a thread of its own.

Signal handlers run in the main thread only, so none of them can raise between the start of the program and the code
that ends it. And no traceback has the frames of that thread, which hold the environment and the answer.
"""

from __future__ import annotations

import _thread
import errno
import os
import time

from ._errors import SecretFailed, SecretsError
from ._program import NAME, program

# What a lookup needs is imported by the first one: it is most of what importing this package would cost.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

# Milliseconds after which the program's end and a cancellation are noticed, where the pipes do not tell.
_SLICE = 50

# Seconds that the program has to end what it has started. It takes up to 5: a login under way, and its revocation.
_GRACE = 6.0


def _load() -> None:
    for name in ("json", "select", "signal"):
        __import__(name)


# The ends of pipes that lookups have open.
_descriptors: set[int] = set()


def _forked() -> None:
    while _descriptors:
        try:
            os.close(_descriptors.pop())
        except OSError:
            pass


# A forked child would wait forever for an import of another thread of its parent, and keep that thread's pipes open.
os.register_at_fork(before=_load, after_in_child=_forked)


class Buffer:
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


class _Pipes:
    """Descriptors that are closed together."""

    def __init__(self) -> None:
        self.open: list[int] = []

    def add(self, *descriptors: int) -> list[int]:
        """Takes them over. Those below 3, where the host has closed a standard stream, get other numbers."""
        self.open += descriptors
        _descriptors.update(descriptors)
        return [self._above(descriptor) for descriptor in descriptors]

    def _above(self, descriptor: int) -> int:
        low: list[int] = []
        while descriptor < 3:
            low.append(descriptor)
            descriptor = os.dup(descriptor)
            self.open.append(descriptor)
            _descriptors.add(descriptor)
        self.close(*low)
        return descriptor

    def close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            # A fork must not close what gets this number next.
            _descriptors.discard(descriptor)
            self.open.remove(descriptor)
            try:
                os.close(descriptor)
            except OSError:
                # The host closes whatever is open, as daemons do.
                pass


class _Run:
    """One run of the program. `work` does it, in a thread of its own; the other methods are for the thread that waits."""

    def __init__(
        self,
        read: Callable[[Buffer, str], None],
        arguments: list[bytes],
        no_input: bool | None,
        role: bytes | None,
        stdin: bytes | None,
    ) -> None:
        self.read = read
        self.arguments = arguments
        self.no_input = no_input
        self.role = role
        self.stdin = stdin
        self.process = os.getpid()
        # Whoever acquires it decides whether the work is done.
        self.begun = _thread.allocate_lock()
        self.ended = _thread.allocate_lock()
        self.ended.acquire()
        self.over = False
        self.cancelled = False
        self.errors: list[BaseException] = []

    def wait(self) -> None:
        while not self.over:
            if self.process != os.getpid():
                raise SecretFailed("this process was forked in the middle of a lookup, by a signal handler")
            # A signal may reach another thread, where it ends no wait.
            if not self.ended.acquire(timeout=0.5):
                # A thread may have ended for want of memory before it began.
                self.work()

    def cancel(self) -> None:
        """Returns when nothing is left of it."""
        self.cancelled = True
        if not self.begun.acquire(False):
            self.wait()

    def work(self) -> None:
        if not self.begun.acquire(False):
            return
        try:
            _load()
            self._look_up()
        except BaseException as error:
            self.errors.append(_without_frames(error))
        finally:
            self.over = True
            self.ended.release()

    def _look_up(self) -> None:
        output, messages = Buffer(), Buffer()
        pipes = _Pipes()
        try:
            self._run(pipes, output, messages)
            self.read(output, bytes(messages.bytes[: messages.used]).decode("utf-8", "replace"))
        finally:
            output.wipe()
            pipes.close(*pipes.open)

    def _run(self, pipes: _Pipes, output: Buffer, messages: Buffer) -> None:
        import select

        into: dict[int, Buffer] = {}
        writers: list[int] = []
        for buffer in (output, messages):
            reader, writer = pipes.add(*os.pipe())
            into[reader] = buffer
            writers.append(writer)
        stdin = None if self.stdin is None else pipes.add(_file(self.stdin))[0]
        try:
            child = self._spawn(stdin, *writers)
        except FileNotFoundError:
            # It was there: another version may have been installed meanwhile.
            program.cache_clear()
            child = self._spawn(stdin, *writers)
        try:
            pipes.close(*writers)
            poll = select.poll()
            for reader in into:
                poll.register(reader, select.POLLIN)
            while into and not self.cancelled:
                # A child that another thread forks may hold the pipes open for as long as it lives. Asked before reading,
                # so that all that the program has written is read.
                over = child.has_ended()
                ready = poll.poll(0 if over else _SLICE)
                for reader, _ in ready:
                    if not into[reader].read(reader):
                        poll.unregister(reader)
                        del into[reader]
                if over and not ready:
                    break
            if not self.cancelled:
                child.has_ended(wait=True)
        finally:
            child.end()

    def _spawn(self, stdin: int | None, stdout: int, stderr: int) -> _Child:
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
        if stdin is None:
            actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, stdin, 0))
        try:
            return self._spawn_with([*((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()), *actions])
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            # One that is above a limit which the host has lowered cannot be closed so.
            return self._spawn_with(actions)

    def _spawn_with(self, actions: list[tuple[Any, ...]]) -> _Child:
        import signal

        process = os.posix_spawn(
            program(),
            [NAME.encode(), *self.arguments],
            _environment(self.no_input, self.role),
            file_actions=actions,
            # Python ignores two signals, and a host may block those that end the program.
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        return _Child(process)


class _Child:
    """The program. Another thread of the host may reap it: how it has ended is not asked."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.over = False

    def has_ended(self, wait: bool = False) -> bool:
        if not self.over:
            try:
                self.over = os.waitpid(self.process, 0 if wait else os.WNOHANG)[0] != 0
            except ChildProcessError:
                self.over = True
        return self.over

    def end(self) -> None:
        """Asks it to end, so that it ends what it has started; in the end it is killed."""
        import signal

        until = time.monotonic() + _GRACE
        number = signal.SIGTERM
        while not self.has_ended():
            if number == signal.SIGTERM or time.monotonic() > until:
                try:
                    os.kill(self.process, number)
                except ProcessLookupError:
                    return
                number = signal.SIGKILL
            time.sleep(0.005)


def _without_frames(error: BaseException) -> BaseException:
    """The error as it is raised in the thread that waits: one of this package, if it is an error."""
    if isinstance(error, Exception) and not isinstance(error, SecretsError):
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        return SecretFailed(f"{NAME} cannot be run: {reason}")
    error.__context__ = None
    return error.with_traceback(None)


def _file(data: bytes) -> int:
    """A file that has no name, nor is left behind."""
    if hasattr(os, "memfd_create"):
        made = os.memfd_create(NAME)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            made = os.dup(file.fileno())
    try:
        while data:
            data = data[os.write(made, data) :]
        os.lseek(made, 0, os.SEEK_SET)
    except OSError:
        os.close(made)
        raise
    return made


def _inheritable() -> list[int]:
    """What the program would inherit, and hand on to all that it starts."""
    found: list[int] = []
    try:
        for number in map(int, os.listdir("/dev/fd")):
            try:
                if number > 2 and os.get_inheritable(number):
                    found.append(number)
            except OSError:
                # That of the listing, or one that another thread has closed.
                pass
    except OSError:
        pass
    return found


def _environment(no_input: bool | None, role: bytes | None) -> dict[bytes, bytes]:
    """Says whether a person is there: the program's standard error is read here, so it cannot see that itself."""
    # Other threads may change it: what is gone by now is left out, where {**os.environ} raises a KeyError.
    names = list(os.environ)
    inherited = {name: value for name in names if (value := os.environ.get(name)) is not None}
    environment = {os.fsencode(name): os.fsencode(value) for name, value in inherited.items()}
    if role is not None:
        environment[b"MXM_ROLE"] = role
    terminal = _terminal()
    if no_input is not None:
        environment[b"MXM_SECRETS_NO_INPUT"] = b"1" if no_input else b"0"
    elif b"MXM_SECRETS_NO_INPUT" not in environment:
        environment[b"MXM_SECRETS_NO_INPUT"] = b"1" if terminal is None else b"0"
    if environment[b"MXM_SECRETS_NO_INPUT"] == b"0" and terminal:
        environment.setdefault(b"GPG_TTY", os.fsencode(terminal))
    return environment


def _terminal() -> str | None:
    """The path of the terminal at standard error, empty if it has none; None if there is no terminal."""
    try:
        if not os.isatty(2):
            return None
        return os.ttyname(2)
    except OSError:
        return ""


def run(
    read: Callable[[Buffer, str], T],
    arguments: list[bytes],
    *,
    no_input: bool | None = None,
    role: bytes | None = None,
    stdin: bytes | None = None,
) -> T:
    """What `read` makes of standard output, which is wiped then, and of standard error.

    It reads in the other thread: what it returns is all that is seen of a value here.

    Args:
        arguments: Of the program, without its name.
        no_input: Whether to prompt never (True) or even without a terminal (False).
        role: MXM_ROLE of the program, if it is another.
        stdin: The content of a file that is its standard input.
    """
    # What is read is in no local variable but this, which is emptied: an interrupt may come at any time.
    results: list[T] = []

    def keep(output: Buffer, messages: str) -> None:
        results.append(read(output, messages))

    task = _Run(keep, arguments, no_input, role, stdin)
    try:
        try:
            _thread.start_new_thread(task.work, ())
        except (RuntimeError, MemoryError):
            # There is none at the end of the interpreter, or of what the system gives.
            task.work()
        task.wait()
        if not results:
            raise task.errors.pop() if task.errors else _without_frames(MemoryError())
        return results.pop()
    except BaseException:
        task.cancel()
        results.clear()
        raise
