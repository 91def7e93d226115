"""Hosts that reap everything, ignore signals, fork, interrupt; and what is left in memory."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
import unittest

from support import VALUE, Home, tool


def alive(mark: str) -> list[int]:
    """The processes that have a variable in their environment."""
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Hosts(Home):
    def test_a_host_that_ignores_its_children(self) -> None:
        script = """
            import signal
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            print({get_secret("k") for _ in range(50)}, {get_secret("no", backends=["env"]) for _ in range(20)})
        """
        self.assertEqual(self.said(script, K="v"), "{'v'} {None}\n")

    def test_a_thread_that_reaps_everything(self) -> None:
        script = """
            import os, threading, time
            done = False
            def reap():
                while not done:
                    try:
                        os.waitpid(-1, os.WNOHANG)
                    except ChildProcessError:
                        pass
            thread = threading.Thread(target=reap)
            thread.start()
            seen = {(get_secret("k"), get_secret("no", "d", backends=["env"])) for _ in range(100)}
            done = True
            thread.join()
            print(seen)
        """
        self.assertEqual(self.said(script, K="v"), "{('v', 'd')}\n")

    def test_threads(self) -> None:
        script = """
            from concurrent.futures import ThreadPoolExecutor
            with ThreadPoolExecutor(32) as pool:
                print(set(pool.map(lambda _: get_secret("k", backends=["env"]), range(2000))))
        """
        self.assertEqual(self.said(script, K="v"), "{'v'}\n")

    def test_forks_and_processes(self) -> None:
        script = """
            import multiprocessing, os, sys, threading
            def ask(_):
                return get_secret("k", backends=["env"])
            if __name__ == "__main__":
                threads = [threading.Thread(target=lambda: [ask(0) for _ in range(50)]) for _ in range(4)]
                [thread.start() for thread in threads]
                good = 0
                for _ in range(100):
                    child = os.fork()
                    if child == 0:
                        os._exit(0 if ask(0) == "v" else 1)
                    good += os.waitpid(child, 0)[1] == 0
                [thread.join() for thread in threads]
                print(good)
        """
        self.assertEqual(self.run_python(script, K="v", PYTHONWARNINGS="ignore").stdout, "100\n")

    def test_a_fork_beside_the_first_lookup_of_another_thread(self) -> None:
        script = """
            import os, signal, sys, threading, time
            reached = threading.Event()
            class Slow:
                def find_spec(self, name, path=None, target=None):
                    if name == "json":
                        reached.set()
                        time.sleep(0.5)
            sys.meta_path.insert(0, Slow())
            thread = threading.Thread(target=get_secret, args=("k",))
            thread.start()
            reached.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                os._exit(0 if get_secret("k") == "v" else 1)
            thread.join()
            print(os.waitpid(child, 0)[1])
        """
        self.assertEqual(self.run_python(script, K="v", PYTHONWARNINGS="ignore").stdout, "0\n")

    def test_the_three_ways_of_multiprocessing(self) -> None:
        path = os.path.join(self.home, "pool.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                "import multiprocessing, sys\n"
                "from mxm.secrets import get_secret\n"
                "if __name__ == '__main__':\n"
                "    for way in 'fork', 'spawn', 'forkserver':\n"
                "        with multiprocessing.get_context(way).Pool(2) as pool:\n"
                "            print(way, pool.map(get_secret, ['k', 'k']))\n"
            )
        import sys

        ended = subprocess.run([sys.executable, path], env={**self.environment, "K": "v"}, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(ended.stdout, "fork ['v', 'v']\nspawn ['v', 'v']\nforkserver ['v', 'v']\n", ended.stderr)

    def test_asyncio(self) -> None:
        script = """
            import asyncio
            async def main():
                print(await asyncio.gather(*[asyncio.to_thread(get_secret, "k") for _ in range(8)]))
            asyncio.run(main())
        """
        self.assertEqual(self.said(script, K="v"), str(["v"] * 8) + "\n")

    def test_few_descriptors_and_closed_ones(self) -> None:
        script = """
            import os, resource
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            values = [get_secret("k"), get_secret("no", "d", backends=["env"])]
            out = os.open(os.environ["HOME"] + "/out", os.O_WRONLY | os.O_CREAT)
            os.write(out, repr(values).encode())
        """
        self.run_python(script, K="v")
        with open(os.path.join(self.home, "out"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "['v', 'd']")
        script = """
            import os, resource
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(200):
                get_secret("k", backends=["env"])
            print(len(os.listdir("/proc/self/fd")) - before)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
            try:
                print(get_secret("k"))
            except OSError:
                print("OSError")
        """
        self.assertIn(self.said(script, K="v"), ["0\nOSError\n", "0\nv\n"])


    def test_descriptors_that_are_closed_are_not_taken_for_others(self) -> None:
        script = """
            import os
            from mxm.secrets.api import SecretsApi
            class Me:
                role = "trader"
            api = SecretsApi.from_config_data({
                "stores": {"red": {"backend": "env", "root": "mxm"}},
                "policies": {"p": {"allowed_principals": ["trader"]}},
                "refs": {"key": {"store": "red", "path": "a", "policy": "p"}},
            })
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            value, ready = api.get_secret("key", identity=Me()), api.check_ready()
            out = os.open(os.environ["HOME"] + "/out", os.O_WRONLY | os.O_CREAT)
            os.write(out, repr((value, ready)).encode())
        """
        self.run_python(script, MXM_A="v")
        with open(os.path.join(self.home, "out"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "('v', True)")

    def test_low_limits_are_errors_and_never_the_default(self) -> None:
        script = """
            import resource
            said = []
            for limit in "NPROC", "FSIZE", "CORE", "STACK", "MEMLOCK", "CPU", "AS", "DATA":
                kind = getattr(resource, "RLIMIT_" + limit)
                before = resource.getrlimit(kind)
                for low in 0, 1 << 16, 1 << 20, 1 << 24:
                    if limit == "CPU":
                        low = 100
                    if before[1] != resource.RLIM_INFINITY:
                        low = min(low, before[1])
                    resource.setrlimit(kind, (low, before[1]))
                    try:
                        said.append(get_secret("k", "default"))
                    except (SecretFailed, OSError, MemoryError):
                        said.append("error")
                    finally:
                        resource.setrlimit(kind, before)
            print(set(said) - {"error"}, get_secret("k"))
        """
        self.assertEqual(self.said(script, K="v"), "{'v'} v\n")


class Ends(Home):
    """A gopass that hangs is behind each of these."""

    def start(self, script: str, **more: str) -> tuple[subprocess.Popen[str], str]:
        mark = f"MXM_MARK={self.id()}-{os.getpid()}"
        self.fake("gopass", "exec /bin/sleep 60")
        name, _, value = mark.partition("=")
        child = subprocess.Popen(
            self.command(script), env={**self.environment, name: value, **more}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(child.kill)
        until = time.monotonic() + 30
        while len(alive(mark)) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        self.assertGreaterEqual(len(alive(mark)), 3)
        return child, mark

    def gone(self, mark: str) -> None:
        until = time.monotonic() + 10
        while alive(mark) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(alive(mark), [])

    def test_an_interrupt_leaves_nothing(self) -> None:
        child, mark = self.start("""
            try:
                get_secret("k", timeout=50)
            except KeyboardInterrupt:
                print("interrupted")
        """)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.communicate(timeout=20)[0], "interrupted\n")
        self.gone(mark)

    def test_a_handler_that_raises_leaves_nothing(self) -> None:
        child, mark = self.start("""
            import signal, sys
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            get_secret("k", timeout=50)
        """)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 7)
        self.gone(mark)

    def test_a_host_that_is_killed_leaves_nothing_past_the_deadline(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            child, mark = self.start("get_secret('k', timeout=3)")
            child.send_signal(number)
            child.communicate(timeout=20)
            self.gone(mark)

    def test_an_interrupt_from_the_terminal_leaves_nothing(self) -> None:
        self.fake("gopass", "exec /bin/sleep 60")
        mark = f"MXM_MARK={self.id()}-{os.getpid()}"
        child, terminal = pty.fork()
        if child == 0:
            script = """
                try:
                    get_secret("k", timeout=50)
                except KeyboardInterrupt:
                    print("interrupted")
            """
            name, _, value = mark.partition("=")
            command = self.command(script)
            os.execve(command[0], command, {**self.environment, name: value})
        until = time.monotonic() + 30
        while len(alive(mark)) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        os.write(terminal, b"\x03")
        seen = b""
        while b"interrupted" not in seen and select.select([terminal], [], [], 20)[0]:
            seen += os.read(terminal, 4096)
        self.assertIn(b"interrupted", seen)
        os.close(terminal)
        os.waitpid(child, 0)
        self.gone(mark)

    def test_the_deadline(self) -> None:
        self.fake("gopass", "exec /bin/sleep 60")
        started = time.monotonic()
        self.assertEqual(self.raised("get_secret('k', 'd', timeout=0.5)")[0], "SecretFailed")
        self.assertLess(time.monotonic() - started, 20)

    def test_a_program_that_is_killed_gives_no_half_value(self) -> None:
        self.fake("gopass", "exec /bin/sleep 60")
        child, mark = self.start("""
            try:
                print("returned", get_secret("k", "d", timeout=50))
            except SecretFailed:
                print("failed")
        """)
        for process in alive(mark):
            with open(f"/proc/{process}/comm", encoding="utf-8") as file:
                if file.read() == "mxm-secrets\n":
                    os.kill(process, signal.SIGKILL)
        self.assertEqual(child.communicate(timeout=20)[0], "failed\n")


class Person(Home):
    def test_a_passphrase_is_asked_for_on_the_terminal(self) -> None:
        age, keygen = tool("age"), tool("ssh-keygen")
        if age is None or keygen is None:
            return
        store = os.path.join(self.home, ".passage", "store")
        os.makedirs(store, mode=0o700)
        identities = os.path.join(self.home, ".passage", "identities")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "pass", "-f", identities], check=True, stdin=subprocess.DEVNULL)
        subprocess.run([age, "-R", identities + ".pub", "-o", os.path.join(store, "k.age")], input=VALUE, text=True, check=True)
        self.assertEqual(self.raised("get_secret('k', backends=['age'])")[0], "SecretFailed")
        child, terminal = pty.fork()
        if child == 0:
            command = self.command("print('got', get_secret('k', backends=['age']))")
            os.execve(command[0], command, self.environment)
        seen = b""
        answered = False
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    read = os.read(terminal, 4096)
                except OSError:
                    break
                if not read:
                    break
                seen += read
            if not answered and b"assphrase" in seen:
                time.sleep(0.2)
                os.write(terminal, b"pass\n")
                answered = True
        os.close(terminal)
        os.waitpid(child, 0)
        self.assertIn(f"got {VALUE}".encode(), seen)


class Memory(Home):
    def test_no_copy_is_left_but_that_of_the_caller(self) -> None:
        store = os.path.join(self.home, "run")
        os.mkdir(store)
        # Of a size that no later object takes the place of by chance; 12 bytes, so that its base64 repeats, too.
        with open(os.path.join(store, "k"), "w", encoding="utf-8") as file:
            file.write((VALUE + "!") * 6000)
        script = """
            import base64
            def copies(needle):
                seen = 0
                with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
                    for line in maps:
                        span, rights, *_ = line.split()
                        if rights.startswith("rw"):
                            start, end = (int(at, 16) for at in span.split("-"))
                            try:
                                memory.seek(start)
                                seen += memory.read(end - start).count(needle)
                            except (OSError, ValueError, OverflowError):
                                pass
                return seen
            # Not as it is in the script itself.
            plain = "".join(reversed("!1174-YrAnAc")).encode()
            coded = base64.b64encode(plain)
            value = get_secret("k", backends=["credentials"])
            assert len(value) == 72000
            print(copies(plain) < 7000, copies(coded) < 1000)
            del value
            print(copies(plain) < 7000, copies(coded) < 1000)
        """
        self.assertEqual(self.said(script, CREDENTIALS_DIRECTORY=store), "True True\n" * 2)


if __name__ == "__main__":
    unittest.main()
