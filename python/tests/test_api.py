"""What the package answers: found, missing, failed, refused; and what the package before it answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest

from support import VALUE, Home, tool


class Answers(Home):
    def test_a_secret_is_text_without_its_last_newline(self) -> None:
        for value, text in [("v", "v"), ("v\n", "v"), ("v\n\n", "v\n"), (" pad \n", " pad "), ("\r\n", "\r"), ("ü", "ü")]:
            out = self.said("print(repr(get_secret('prod/api-key')), repr(require_secret(key='prod/api-key')))", PROD_API_KEY=value)
            self.assertEqual(out, f"{text!r} {text!r}\n")

    def test_bytes_are_exact(self) -> None:
        script = "print(get_secret_bytes('k'), get_secret_bytes('no'), get_secret_bytes('no', b'd'))"
        self.assertEqual(self.said(script, K="v\n\n"), "b'v\\n\\n' None b'd'\n")

    def test_a_missing_secret_is_none_or_the_default(self) -> None:
        script = "print(get_secret('no'), get_secret('no', 'd'), get_secret('no', default=''), get_secret('e', 'd'))"
        self.assertEqual(self.said(script, E=""), "None d  d\n")

    def test_a_required_secret_raises(self) -> None:
        kind, message, key, reasons, _ = self.raised("require_secret('no/x', backends=['env'])")
        self.assertEqual((kind, key), ("SecretMissing", "no/x"))
        self.assertIn("no/x", message)
        self.assertIn("NO_X", reasons)

    def test_an_error_says_what_the_program_says_and_its_hints_are_notes(self) -> None:
        self.fake("gopass", "exit 9")
        kind, message, key, reasons, notes = self.raised("get_secret('a/b', 'default')", A_B=VALUE)
        self.assertEqual((kind, key), ("SecretFailed", "a/b"))
        self.assertEqual(message, "a/b: failed: gopass: failed: gopass show ended with status 9 for a/b")
        self.assertEqual(reasons, "('gopass: failed: gopass show ended with status 9 for a/b',)")
        self.assertEqual(notes, "['hint: to see its error output, run: gopass show -- a/b']")
        # One that is said of several backends is one note; where nothing can be done, there is none.
        self.assertEqual(self.raised("get_secrets(['a/b', 'c'])")[4], notes)
        kind, message, *_, notes = self.raised("require_secret('no', backends=['env'])")
        self.assertEqual((kind, message, notes), ("SecretMissing", "no: missing: env: miss: $NO is not set for no", "None"))
        # A traceback shows them, and they reach another process.
        ended = self.run_python("get_secret('a/b')")
        self.assertIn("\nhint: to see its error output, run: gopass show -- a/b\n", ended.stderr)

    def test_several_are_one_call(self) -> None:
        script = "print(get_secrets(['b', 'no', 'a', 'b']), get_secrets([]), get_secrets(iter(['a'])))"
        self.assertEqual(self.said(script, A="1", B="2\n"), "{'b': '2', 'no': None, 'a': '1'} {} {'a': '1'}\n")

    def test_a_failure_is_an_error_and_never_the_default(self) -> None:
        self.fake("gopass", "echo 'boom' >&2; exit 1")
        kind, message, key, *_ = self.raised("get_secret('k', 'default')", K=VALUE)
        self.assertEqual((kind, key), ("SecretFailed", "k"))
        self.assertIn("gopass", message)
        script = "print(get_secret('k', on_error='continue'), get_secret('no', 'd', on_error='continue'))"
        self.assertEqual(self.said(script, K="v"), "v d\n")

    def test_a_failure_says_whether_another_try_may_do(self) -> None:
        script = "try:\n    get_secret('k', timeout=0.5)\nexcept SecretFailed as error:\n    print(error.transient)"
        self.fake("gopass", "exit 9")
        self.assertEqual(self.said(script), "False\n")
        self.fake("gopass", "exec /bin/sleep 5")
        self.assertEqual(self.said(script), "True\n")

    def test_a_value_that_is_not_text_is_in_no_error(self) -> None:
        script = f"""
            import gc, traceback
            try:
                get_secret("k")
            except SecretFailed as error:
                seen = [str(error), repr(error.__context__), repr(error.__cause__)]
                at = error.__traceback__
                while at:
                    seen.append(repr(at.tb_frame.f_locals))
                    at = at.tb_next
                print("{VALUE}" in "".join(seen[:3]), "{VALUE}" in "".join(seen[4:]), error.__notes__)
            print(get_secret_bytes("k") == b"{VALUE}" + bytes([255]))
        """
        ended = subprocess.run(
            self.command(script),
            env={**{k.encode(): v.encode() for k, v in self.environment.items()}, b"K": VALUE.encode() + b"\xff"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ended.stdout, "False False ['hint: get_secret_bytes gives the bytes']\nTrue\n", ended.stderr)

    def test_mistakes_are_usage_errors(self) -> None:
        for call in ["get_secret('a//b')", "get_secret('')", "get_secret('a\\0b')", "get_secret('\\ud800')",
                     "get_secret('k', backends=['nosuch'])", "get_secret('k', timeout=-1)", "get_secret('k', config='/no/such')",
                     "get_secret('k', config='\\ud800')", "get_secret('k', backends=['a\\0'])", "get_secret('\\udcff')",
                     "get_secret('k', on_error='stopp')", "get_secret('-x\\n')"]:
            kind, *_ = self.raised(call)
            self.assertEqual(kind, "UsageError", call)

    def test_wrong_types_are_type_errors(self) -> None:
        for call in ["get_secret(3)", "get_secret('k', backends='env')", "get_secret('k', timeout='5')", "get_secret('k', backends=[5])", "get_secrets('ab')", "get_secret('k', bakends=[])"]:
            out = self.said(f"try:\n    {call}\nexcept TypeError:\n    print('TypeError')")
            self.assertEqual(out, "TypeError\n", call)

    def test_errors_are_what_the_language_has_for_them_and_can_be_pickled(self) -> None:
        script = """
            import pickle
            for kind, base in [(SecretMissing, LookupError), (SecretDenied, PermissionError), (UsageError, ValueError),
                               (ProgramMissing, FileNotFoundError), (SecretFailed, Exception)]:
                error = kind("m", "k", ("r",), ("h",))
                same = pickle.loads(pickle.dumps(error))
                print(issubclass(kind, base), issubclass(kind, SecretsError), type(same) is kind, str(same), same.key, same.reasons, same.__notes__)
        """
        self.assertEqual(self.said(script), "True True True m k ('r',) ['hint: h']\n" * 5)

    def test_a_configuration_and_a_chain_of_ones_own(self) -> None:
        path = os.path.join(self.home, "c.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mxm_secrets: {backends: [env], env: {prefix: P_}}\n")
        script = f"import pathlib; print(get_secret('k', config={path!r}), get_secret('k', config=pathlib.Path({path!r})))"
        self.assertEqual(self.said(script, P_K="v"), "v v\n")

    def test_names_that_look_like_options(self) -> None:
        self.assertEqual(self.said("print(get_secret('--help'), get_secret('-v', backends=['env']))", __HELP="h"), "h None\n")

    def test_a_script_in_the_place_of_the_program_is_not_run(self) -> None:
        script = """
            import mxm.secrets._program as p
            open("p", "w").write("#!/bin/sh\\necho no")
            import os
            os.chmod("p", 0o755)
            print(p._is_program("p"), p._is_program("/nonexistent"), p._is_program(p.program()))
        """
        self.assertEqual(self.said("import os; os.chdir(os.environ['HOME'])\n" + __import__("textwrap").dedent(script)), "False False True\n")

    def test_a_program_that_is_not_there(self) -> None:
        script = """
            import mxm.secrets._program as p
            p._candidates = lambda: iter(["/nowhere"])
            p.program.cache_clear()
            try:
                get_secret("k")
            except FileNotFoundError as error:
                print(type(error).__name__, "/nowhere" in str(error))
        """
        self.assertEqual(self.said(script), "ProgramMissing True\n")


    def test_a_program_of_others_is_not_run(self) -> None:
        # pip install --target a/b/c/d, where a/bin belongs to somebody else.
        import mxm.secrets

        source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(mxm.secrets.__file__))))
        for target, good in [("a/b/c/d", "a/b/c/d/bin"), ("b/lib/python3.11/site-packages", "b/bin"), ("c/lib64/python3/dist-packages", "c/bin"),
                             ("d/lib/python3.12/site-packages", "d/lib/python3.12/site-packages/bin"), ("e/lib/x/site-packages", None)]:
            packages = os.path.join(self.home, target)
            os.makedirs(os.path.join(packages, "mxm"))
            os.symlink(os.path.join(source, "mxm", "secrets"), os.path.join(packages, "mxm", "secrets"))
            above = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(packages))), "bin")
            for directory in {above, os.path.join(self.home, good)} if good else {above}:
                os.makedirs(directory)
                path = os.path.join(directory, "mxm-secrets")
                with open(path, "wb") as file:
                    file.write(b"\x7fELF")
                os.chmod(path, 0o755)
            found = self.said("import mxm.secrets._program as p; print(p.program())", PYTHONPATH=packages).strip()
            if good:
                self.assertEqual(found, os.path.join(self.home, good, "mxm-secrets"))
            else:
                self.assertFalse(found.startswith(self.home), found)


class Refs(Home):
    SETUP = """
        from mxm.secrets.api import SecretsApi
        class Me:
            def __init__(self, role): self.role = role
        api = SecretsApi.from_config_data({
            "stores": {"red": {"backend": "env", "root": "mxm"}, "gone": {"backend": "vault", "root": "x"}},
            "policies": {"p": {"allowed_principals": ["trader"]}},
            "refs": {"key": {"store": "red", "path": "a", "policy": "p"}, "no": {"store": "red", "path": "b", "policy": "p"},
                     "far": {"store": "gone", "path": "b", "policy": "p"}},
        })
        def says(call):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__, isinstance(error, PermissionError), isinstance(error, ValueError))
    """

    def test_a_ref_is_read_denied_missing_unknown_and_failed(self) -> None:
        script = self.SETUP + """
        says(lambda: api.get_secret("key", identity=Me("trader")))
        says(lambda: api.get_secret("no", identity=Me("trader"), default="d"))
        says(lambda: api.get_secret("key", identity=Me("other"), default="d"))
        says(lambda: api.get_secret("key", identity=Me("Not-A-Role"), default="d"))
        says(lambda: api.get_secret("mxm/a", identity=Me("trader"), default="d"))
        says(lambda: api.get_secret("far", identity=Me("trader"), default="d"))
        says(lambda: SecretsApi.from_config_data({"refs": {}}))
        says(api.check_ready)
        """
        self.assertEqual(
            self.said(script, MXM_A="value", MXM_ROLE="trader").splitlines(),
            ["value", "d", "SecretDenied True False", "UsageError False True", "KeyError False False",
             "SecretFailed False False", "TypeError False False", "False"],
        )

    def test_a_ref_with_a_field(self) -> None:
        script = self.SETUP + """
        for name in "key#", "key#user", "key#no", "other#user":
            says(lambda: api.get_secret(name, identity=Me("trader"), default="d"))
        says(lambda: api.get_secret("key#user", identity=Me("other"), default="d"))
        """
        self.assertEqual(
            self.said(script, MXM_A="pw\nuser: joe\n").splitlines(),
            ["pw", "d", "d", "KeyError False False", "SecretDenied True False"],
        )

    def test_a_configuration_of_any_mapping_and_any_character(self) -> None:
        script = self.SETUP + """
        from types import MappingProxyType as Proxy
        from collections import ChainMap, UserList
        def read(path, role="trader", wrap=Proxy, more=None):
            return SecretsApi.from_config_data(wrap({
                "stores": wrap({"red": wrap({"backend": "env", "root": "mxm"})}),
                "policies": wrap({"p": wrap({"allowed_principals": ("trader",)})}),
                "refs": wrap({"key": wrap({"store": "red", "path": path, "policy": "p"})}), **(more or {})})).get_secret("key", identity=Me(role))
        says(lambda: read("a"))
        says(lambda: read("a", wrap=ChainMap))
        says(lambda: read("a", more={"backends": UserList(["env"])}))
        says(lambda: read("a", more={"backends": b"env"}))
        says(lambda: read("\\U0001f511/a"))
        says(lambda: read("\\u00fc\\u2603"))
        says(lambda: read("\\ud800"))
        says(lambda: read("a", more={"env": {3}}))
        for role in None, 5, "", "a\\0", "\\ud800":
            says(lambda: read("a", role))
        """
        wrong = ["UsageError False True"]
        self.assertEqual(
            self.said(script, MXM_A="value", MXM___A="key", MXM___="snow").splitlines(),
            ["value", "value", "value", "TypeError False False", "key", "snow", *wrong, "TypeError False False", *["TypeError False False"] * 2, *wrong * 3],
        )

    def test_a_configuration_without_files_in_memory(self) -> None:
        script = "import os; os.__dict__.pop('memfd_create', None)\n" + __import__("textwrap").dedent(self.SETUP + """
        says(lambda: api.get_secret("key", identity=Me("trader")))
        """)
        self.assertEqual(self.said(script, MXM_A="value", TMPDIR=self.home), "value\n")
        self.assertEqual(os.listdir(self.home), [])

    def test_a_configuration_that_is_wrong_is_no_other_error(self) -> None:
        script = self.SETUP + """
        for stores in {"red": {"root": "mxm"}}, {"red": 5}, {"red": {"backend": "nix", "root": "a"}}:
            wrong = SecretsApi.from_config_data({"stores": stores, "policies": {}, "refs": {}})
            says(wrong.check_ready)
        """
        self.assertEqual(self.said(script), "UsageError False True\n" * 3)

    def test_a_configured_ref_is_denied(self) -> None:
        path = os.path.join(self.home, "c.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mxm_secrets: {stores: {red: {backend: env, root: mxm}}, policies: {p: {allowed_principals: [trader]}},"
                       " refs: {key: {store: red, path: a, policy: p}}}\n")
        kind, _, key, *_ = self.raised(f"get_secret('key', 'd', config={path!r})", MXM_A="v", MXM_ROLE="other")
        self.assertEqual((kind, key), ("SecretDenied", "key"))
        self.assertEqual(self.said(f"print(get_secret('key', config={path!r}))", MXM_A="v", MXM_ROLE="trader"), "v\n")


class CommandLine(Home):
    def main(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "mxm.secrets", *arguments],
            env={**self.environment, **more}, capture_output=True, text=True, check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def test_the_module_is_the_program_and_a_default_has_status_0(self) -> None:
        self.assertEqual(self.main("get", "k", K="v"), (0, "v\n", ""))
        self.assertEqual(self.main("get", "no", "--default", "d")[:2], (0, "d\n"))
        self.assertEqual(self.main("get", "no", "--default=d")[:2], (0, "d\n"))
        self.assertEqual(self.main("get", "--default", "d", "--", "no")[:2], (0, "d\n"))
        self.assertEqual(self.main("-q", "get", "no", "--default", "d")[:2], (0, "d\n"))
        self.assertEqual(self.main("get", "no", "--default", "d", "--default-ok")[:2], (0, "d\n"))
        self.assertEqual(self.main("get", "no")[:2], (1, ""))
        self.assertEqual(self.main("get", "a//b")[0], 2)
        self.assertEqual(self.main("get", "--", "--default")[0], 1)
        self.assertIn("gopass: ", self.main("get", "k", "--verbose", K="v")[2])

    def test_the_command_of_exec_ignores_no_signal_that_python_ignores(self) -> None:
        status, out, _ = self.main("exec", "--secret", "K", "--", "/bin/grep", "SigIgn", "/proc/self/status", K="v")
        # Not those that the C library has for itself, nor what these tests were started with, as by nohup.
        python = (signal.SIGPIPE, signal.SIGXFSZ)
        ignored = [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
        others = 3 << 31 | sum(1 << number - 1 for number in ignored if number not in python)
        self.assertEqual((status, int(out.split()[1], 16) & ~others), (0, 0))
        status, out, _ = self.main("exec", "--secret", "K", "--", "/bin/sh", "-c", "/usr/bin/yes | /usr/bin/head -1", K="v")
        self.assertEqual((status, out), (0, "y\n"))


class Package(Home):
    def test_it_is_a_namespace_package_with_types(self) -> None:
        script = """
            import mxm, mxm.secrets, os
            here = os.path.dirname(mxm.secrets.__file__)
            print(getattr(mxm, "__file__", None), os.path.exists(os.path.join(here, "py.typed")))
        """
        self.assertEqual(self.said(script), "None True\n")

    def test_it_stands_beside_another_package_of_the_namespace(self) -> None:
        other = os.path.join(self.home, "other", "mxm", "config")
        os.makedirs(other)
        with open(os.path.join(other, "__init__.py"), "w", encoding="utf-8") as file:
            file.write("X = 1\n")
        out = self.said("import mxm.config; print(mxm.config.X, get_secret('k'))", K="v", PYTHONPATH=os.path.join(self.home, "other"))
        self.assertEqual(out, "1 v\n")


class Stores(Home):
    def test_age(self) -> None:
        age, keygen = tool("age"), tool("age-keygen")
        if age is None or keygen is None:
            return
        store = os.path.join(self.home, ".passage", "store", "prod")
        os.makedirs(store, mode=0o700)
        identities = os.path.join(self.home, ".passage", "identities")
        subprocess.run([keygen, "-o", identities], check=True, capture_output=True)
        recipient = subprocess.run([keygen, "-y", identities], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([age, "-r", recipient, "-o", os.path.join(store, "key.age")], input=VALUE + "\n", text=True, check=True)
        script = "print(get_secret('prod/key', backends=['age']), get_secret('prod/no', 'd', backends=['age']))"
        self.assertEqual(self.said(script), f"{VALUE} d\n")
        # Cut short: failed, never the default.
        path = os.path.join(store, "key.age")
        with open(path, "rb") as file:
            whole = file.read()
        with open(path, "wb") as file:
            file.write(whole[:-1])
        self.assertEqual(self.raised("get_secret('prod/key', 'd', backends=['age'])")[0], "SecretFailed")

    def test_gopass(self) -> None:
        gopass, gpg, git = tool("gopass"), tool("gpg"), tool("git")
        if gopass is None or gpg is None or git is None:
            return
        self.environment["PATH"] = ":".join({os.path.dirname(path) for path in (gopass, gpg, git)} | {"/usr/bin", "/bin"})
        self.environment["GNUPGHOME"] = os.path.join(self.home, "g")
        os.mkdir(self.environment["GNUPGHOME"], 0o700)

        def run(*command: str, given: str | None = None) -> None:
            ended = subprocess.run(command, env=self.environment, input=given, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 0, ended.stderr)

        self.addCleanup(subprocess.run, ["gpgconf", "--kill", "gpg-agent"], env=self.environment, check=False)
        run(git, "config", "--global", "user.name", "T")
        run(git, "config", "--global", "user.email", "t@example.org")
        run(gpg, "--batch", "--passphrase", "", "--quick-gen-key", "T <t@example.org>", "default", "default", "never")
        run(gopass, "--yes", "init", "--crypto", "gpgcli", "--storage", "fs", "t@example.org")
        run(gopass, "insert", "-f", "prod/key", given=VALUE)
        script = "print(get_secret('prod/key'), get_secret('prod/no', 'd'))"
        self.assertEqual(self.said(script), f"{VALUE} d\n")


if __name__ == "__main__":
    unittest.main()
