//! The table itself, and what checks it.

use std::fs;

use super::Scene;
use super::asked::{self, files, servers};
use super::limits::BACKENDS;
use super::system::{self, Trouble};
use crate::support::is_gone;
use crate::support::place::NAME;

/// Everything that can be in the way of a backend.
const FAULTS: [&str; 21] = [
    "not installed",
    "hangs",
    "hangs holding the pipe through a grandchild",
    "floods 1 GiB on standard output",
    "floods 1 GiB on standard error",
    "dies by a signal",
    "closes early",
    "prints half",
    "answers slowly, byte by byte",
    "EINTR",
    "EMFILE",
    "ENOMEM by a limit",
    "full pipe",
    "no /proc",
    "no HOME",
    "no PATH",
    "read-only file system",
    "closed standard input",
    "closed standard output",
    "closed standard error",
    "clock set back",
];

/// How the fault comes about.
#[derive(Clone, Copy)]
enum Stage {
    /// Nobody has set the backend up.
    Nothing,
    /// The program, or the plugin of age, is not there.
    NoProgram,
    /// The program, or the plugin of age, is this script.
    Program(&'static str),
    /// The server does this.
    Server(fn(&mut std::net::TcpStream)),
    /// The server is an agent that nobody gets through to.
    Agent,
    /// This is where the file should be.
    File(fn(&std::path::Path)),
    /// The system does this, to the real store.
    System(Trouble),
}

/// What `get` gives: the status, and all of standard error.
#[derive(Clone, Copy)]
enum Gives {
    /// The whole value.
    Value,
    /// Status 1.
    Missing(&'static str),
    /// Status 4.
    Failed(&'static str),
}

#[derive(Clone, Copy)]
enum Cell {
    Is(Stage, Gives),
    /// Such a thing cannot happen to it, and why.
    Never(&'static str),
}

use Cell::{Is, Never};
use Gives::{Failed, Missing, Value};
use Stage::{Agent, File, NoProgram, Nothing, Program, Server, System};

/// A fault with its cells. What is the same for several backends names them all.
type Row = (&'static str, &'static [(&'static str, Cell)]);

/// What a backend says that goes wrong in this way.
macro_rules! says {
    (gopass, $what:literal) => {
        concat!("mxm-secrets: leaks/canary: failed: gopass: gopass ", $what, ", asked for leaks/canary\n")
    };
    (gopass ended, $what:literal) => {
        concat!(
            "mxm-secrets: leaks/canary: failed: gopass: gopass show ended with ", $what, " for leaks/canary\n",
            "mxm-secrets: hint: to see its error output, run: gopass show -- leaks/canary\n"
        )
    };
    (own, $what:literal) => {
        concat!("mxm-secrets: leaks/canary: failed: own: ", $what, " (leaks/canary)\n")
    };
    (own ended, $what:literal) => {
        concat!(
            "mxm-secrets: leaks/canary: failed: own: program ended with ", $what, " for leaks/canary\n",
            "mxm-secrets: hint: to see its error output, run: program leaks/canary\n"
        )
    };
    (age, $what:literal) => {
        concat!("mxm-secrets: leaks/canary: failed: age: {home}/.passage/store/leaks/canary.age ", $what, "\n")
    };
    (plugin, $what:literal) => {
        concat!(
            "mxm-secrets: leaks/canary: failed: age: cannot decrypt {home}/.passage/store/leaks/canary.age: ",
            "age-plugin-fake ", $what, "\n"
        )
    };
    (credentials, $what:literal) => {
        concat!("mxm-secrets: leaks/canary: failed: credentials: {home}/mnt/leaks_canary ", $what, "\n")
    };
    (vault, $what:literal) => {
        concat!("mxm-secrets: leaks/canary: failed: vault: ", $what, "\n")
    };
    (no store, $where:literal) => {
        concat!(
            "mxm-secrets: leaks/canary: failed: age unavailable: the age store ", $where, "/.passage/store does not exist\n",
            "mxm-secrets: hint: put a secret into it, or set PASSAGE_DIR to the directory you use\n"
        )
    };
}

const EVERYONE: &str = "gopass env age vault credentials keyring own";
const MEMORY: &str = "it is in the program's own memory before it begins";
const KERNEL: &str = "the kernel hands a key over in one call, out of its memory";

const NO_MEMORY: &str = "mxm-secrets: there is not enough memory\n";
const NO_GOPASS: &str =
    "mxm-secrets: leaks/canary: failed: gopass unavailable: gopass is not on PATH\n";
const GOPASS_ELSEWHERE: &str = "mxm-secrets: leaks/canary: failed: gopass: there is a password store, but gopass is not on PATH\n\
     mxm-secrets: hint: install it, or add its directory to PATH, which is not set\n";
const NO_OUTPUT: &str =
    "mxm-secrets: cannot write to standard output: Bad file descriptor (os error 9)\n";
const FULL_DISK: &str =
    "mxm-secrets: cannot write to standard output: No space left on device (os error 28)\n";

const GOPASS_LATE: &str = says!(gopass, "gave no answer in time and was killed");
const OWN_LATE: &str = says!(own, "program gave no answer in time and was killed");
const GOPASS_HELD: &str = says!(
    gopass,
    "ended, but a process it started kept its output open"
);
const OWN_HELD: &str = says!(
    own,
    "program ended, but a process it started kept its output open"
);
const PLUGIN_LATE: &str = says!(plugin, "gave no answer in time and was killed");
const VAULT_LATE: &str = says!(vault, "{address} gave no answer in time");

/// Both outputs, more than is read of the one and more than is kept of the other.
const FLOODS_BOTH: &str = "head -c 9999999 /dev/zero; head -c 9999999 /dev/zero >&2; sleep 1000";
const HELD: &str = "sleep 1000 & echo $! >>children; echo canary-value";
const HELD_BY_A_PLUGIN: &str = "sleep 1000 & echo $! >>children";
const WAITED_FOR: &str = "sleep 1000 & echo $! >>children; wait";
const CLOSED: &str = "exec >&- 2>&-; sleep 1000";
const HALF_AND_HANGS: &str = "printf canary; sleep 1000";

/// A plugin that has an error to tell, after what else it does.
macro_rules! plugin_that {
    ($does:literal) => {
        concat!(
            $does,
            "printf -- '-> error internal\\nbm8gdG9rZW4\\n-> done\\n\\n'; exec cat >/dev/null"
        )
    };
}

const ROWS: &[Row] = &[
    (
        "not installed",
        &[
            ("gopass", Is(NoProgram, Failed(NO_GOPASS))),
            (
                "own",
                Is(NoProgram, Failed("mxm-secrets: leaks/canary: failed: own unavailable: program is not on PATH\n")),
            ),
            ("age", Is(Nothing, Failed(says!(no store, "{home}")))),
            ("age", Is(NoProgram, Failed(says!(plugin, "is not on PATH")))),
            (
                "vault",
                Is(
                    Nothing,
                    Failed(
                        "mxm-secrets: leaks/canary: failed: vault unavailable: no address of a Vault server is given\n\
                         mxm-secrets: hint: set VAULT_ADDR, or address in the section vault of the configuration\n",
                    ),
                ),
            ),
            (
                "credentials",
                Is(
                    Nothing,
                    Failed(
                        "mxm-secrets: leaks/canary: failed: credentials: {home}/mnt does not exist\n\
                         mxm-secrets: hint: systemd's LoadCredential= and the secrets of Docker, Podman and \
                         Kubernetes create one\n",
                    ),
                ),
            ),
            (
                "keyring",
                Is(
                    System(Trouble::NoKeyrings),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: keyring unavailable: no kernel keyrings here: there is no such \
                         system call\n\
                         mxm-secrets: hint: allow keyctl in the container's seccomp profile; Docker's default forbids it\n",
                    ),
                ),
            ),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "hangs",
        &[
            ("gopass", Is(Program("sleep 1000"), Failed(GOPASS_LATE))),
            ("own", Is(Program("sleep 1000"), Failed(OWN_LATE))),
            ("age", Is(Program("sleep 1000"), Failed(PLUGIN_LATE))),
            ("age", Is(File(files::held_fifo), Failed(says!(age, "was not read in time")))),
            ("vault", Is(Server(servers::hangs), Failed(VAULT_LATE))),
            ("vault", Is(File(files::held_fifo), Failed(says!(vault, "{home}/.vault-token was not read in time")))),
            ("vault", Is(Agent, Failed(says!(vault, "unix://{home}/agent.sock gave no answer in time")))),
            ("credentials", Is(File(files::fifo), Failed(says!(credentials, "is a FIFO, not a file")))),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "hangs holding the pipe through a grandchild",
        &[
            ("gopass", Is(Program(HELD), Failed(GOPASS_HELD))),
            ("gopass", Is(Program(WAITED_FOR), Failed(GOPASS_LATE))),
            ("own", Is(Program(HELD), Failed(OWN_HELD))),
            ("own", Is(Program(WAITED_FOR), Failed(OWN_LATE))),
            ("age", Is(Program(HELD_BY_A_PLUGIN), Failed(PLUGIN_LATE))),
            ("age", Is(Program(WAITED_FOR), Failed(PLUGIN_LATE))),
            ("vault", Is(Server(servers::holds_the_connection), Failed(VAULT_LATE))),
            ("credentials", Is(File(files::held_fifo), Failed(says!(credentials, "is a FIFO, not a file")))),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "floods 1 GiB on standard output",
        &[
            (
                "gopass",
                Is(
                    Program("exec head -c 1073741824 /dev/zero"),
                    Failed(says!(gopass, "wrote more than 16 MiB and was killed")),
                ),
            ),
            ("gopass", Is(Program(FLOODS_BOTH), Failed(GOPASS_LATE))),
            (
                "own",
                Is(
                    Program("exec head -c 1073741824 /dev/zero"),
                    Failed(says!(own, "program wrote more than 16 MiB and was killed")),
                ),
            ),
            ("own", Is(Program(FLOODS_BOTH), Failed(OWN_LATE))),
            (
                "age",
                Is(
                    Program("printf -- '-> msg\\n'; exec head -c 1073741824 /dev/zero"),
                    Failed(says!(plugin, "does not follow the age plugin protocol")),
                ),
            ),
            (
                "age",
                Is(
                    Program("printf -- '-> msg '; tr '\\0' x </dev/zero | head -c 1073741824"),
                    Failed(says!(plugin, "sent too much output")),
                ),
            ),
            ("age", Is(File(files::flood), Failed(says!(age, "is larger than 24 MiB")))),
            (
                "vault",
                Is(
                    Server(servers::floods_the_body),
                    Failed(says!(vault, "the answer of {address} is larger than 16 MiB")),
                ),
            ),
            ("vault", Is(File(files::flood), Failed(says!(vault, "{home}/.vault-token is larger than 1 MiB")))),
            ("credentials", Is(File(files::flood), Failed(says!(credentials, "is larger than 16 MiB")))),
            ("keyring", Never("the kernel keeps no key of more than 32767 bytes")),
            ("env", Never("the kernel starts no program with a variable of more than 128 KiB")),
        ],
    ),
    (
        "floods 1 GiB on standard error",
        &[
            (
                "gopass own",
                Is(Program("head -c 1073741824 /dev/zero >&2; echo canary-value"), Value),
            ),
            (
                "age",
                Is(
                    Program(plugin_that!("head -c 1073741824 /dev/zero >&2; ")),
                    Failed(says!(plugin, "failed: no token")),
                ),
            ),
            // The nearest thing: what a server says before the value.
            (
                "vault",
                Is(
                    Server(servers::floods_the_head),
                    Failed(says!(vault, "the answer of {address} has a head that does not end")),
                ),
            ),
            ("credentials", Never("a file has no second output")),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "dies by a signal",
        &[
            ("gopass", Is(Program("printf canary; kill -9 $$"), Failed(says!(gopass ended, "signal 9")))),
            ("own", Is(Program("printf canary; kill -9 $$"), Failed(says!(own ended, "signal 9")))),
            (
                "age",
                Is(Program("printf -- '-> error '; kill -9 $$"), Failed(says!(plugin, "ended without an answer"))),
            ),
            ("vault", Is(Server(servers::dies), Failed(says!(vault, "the answer of {address} ends in the middle")))),
            (
                "vault",
                Is(
                    Server(servers::dies_at_once),
                    Failed(says!(vault, "{address} closed the connection without an answer")),
                ),
            ),
            // Nobody is asked; but what the link of a mount leads to may be gone.
            ("credentials", Is(File(files::dangling), Failed(says!(credentials, "is a link to nothing")))),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "closes early",
        &[
            ("gopass", Is(Program(CLOSED), Failed(GOPASS_LATE))),
            ("own", Is(Program(CLOSED), Failed(OWN_LATE))),
            ("age", Is(Program(CLOSED), Failed(says!(plugin, "ended without an answer")))),
            (
                "gopass",
                Is(
                    Program("exit 0"),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: gopass: gopass show printed no secret for leaks/canary, but ended with status 0\n\
                         mxm-secrets: hint: to see its error output, run: gopass show -- leaks/canary\n",
                    ),
                ),
            ),
            (
                "own",
                Is(
                    Program("exit 0"),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: own: program ended with no output and status 0 for leaks/canary\n\
                         mxm-secrets: hint: if no output means \"not found\", add `empty` to `miss` in the section own; \
                         to see its error output, run: program leaks/canary\n",
                    ),
                ),
            ),
            ("age", Is(Program("exit 0"), Failed(says!(plugin, "ended without an answer")))),
            // The input of a program is at its end at once.
            ("gopass own", Is(Program("read line && exit 3; echo canary-value"), Value)),
            ("age", Is(File(files::empty), Failed(says!(age, "is empty, so it is not an age file")))),
            (
                "vault",
                Is(
                    Server(servers::closes_early),
                    Failed(says!(vault, "{address} closed the connection without an answer")),
                ),
            ),
            (
                "credentials",
                Is(
                    File(files::empty),
                    Missing(
                        "mxm-secrets: leaks/canary: missing: not in credentials\n\
                         mxm-secrets: leaks/canary: missing: credentials: leaks/canary is empty: {home}/mnt/leaks_canary\n",
                    ),
                ),
            ),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "prints half",
        &[
            (
                "gopass",
                Is(Program("printf canary; echo canary >&2; exit 7"), Failed(says!(gopass ended, "status 7"))),
            ),
            ("gopass", Is(Program(HALF_AND_HANGS), Failed(GOPASS_LATE))),
            (
                "own",
                Is(Program("printf canary; echo canary >&2; exit 7"), Failed(says!(own ended, "status 7"))),
            ),
            ("own", Is(Program(HALF_AND_HANGS), Failed(OWN_LATE))),
            ("age", Is(Program("printf -- '-> error inter'"), Failed(says!(plugin, "ended without an answer")))),
            ("age", Is(File(files::half), Failed(says!(age, "is cut short")))),
            ("vault", Is(Server(servers::half), Failed(says!(vault, "the answer of {address} ends in the middle")))),
            (
                "credentials",
                Never("the half of a file is a file; one that changes meanwhile is in credentials.rs"),
            ),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    (
        "answers slowly, byte by byte",
        &[
            (
                "gopass own",
                Is(
                    Program("for c in c a n a r y - v a l u e; do printf $c; sleep 0.02; done; echo"),
                    Value,
                ),
            ),
            (
                "age",
                Is(
                    Program(
                        "for c in - '>' ' ' e r r o r ' ' i '\\n' b m 8 g d G 9 r Z W 4 '\\n' - '>' ' ' d o n e '\\n' '\\n'
                         do printf -- \"$c\"; sleep 0.02; done; exec cat >/dev/null",
                    ),
                    Failed(says!(plugin, "failed: no token")),
                ),
            ),
            ("vault", Is(Server(servers::slow), Value)),
            ("credentials", Never("a file waits for nobody; what is none is in the rows above")),
            ("keyring", Never(KERNEL)),
            ("env", Never(MEMORY)),
        ],
    ),
    ("EINTR", &[(EVERYONE, Is(System(Trouble::Interrupted), Value))]),
    (
        "EMFILE",
        &[
            // Nothing is opened for them.
            ("env keyring", Is(System(Trouble::Descriptors), Value)),
            (
                "gopass",
                Is(
                    System(Trouble::Descriptors),
                    Failed(says!(gopass, "cannot be run: Too many open files (os error 24)")),
                ),
            ),
            (
                "own",
                Is(
                    System(Trouble::Descriptors),
                    Failed(says!(own, "cat cannot be run: Too many open files (os error 24)")),
                ),
            ),
            (
                "age",
                Is(
                    System(Trouble::Descriptors),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: age: cannot read {home}/.passage/store/leaks/canary.age: \
                         Too many open files (os error 24)\n",
                    ),
                ),
            ),
            (
                "vault",
                Is(
                    System(Trouble::Descriptors),
                    Failed(says!(vault, "cannot connect to {address}: Too many open files (os error 24)")),
                ),
            ),
            (
                "credentials",
                Is(
                    System(Trouble::Descriptors),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: credentials: cannot read {home}/mnt/leaks_canary: Too many \
                         open files (os error 24)\n",
                    ),
                ),
            ),
        ],
    ),
    (
        "ENOMEM by a limit",
        &[
            (
                "gopass env age vault credentials own",
                Is(System(Trouble::Memory), Failed(NO_MEMORY)),
            ),
            // No key is so large that there would be no room for it in what a program begins with.
            ("keyring", Is(System(Trouble::Memory), Value)),
            (
                "keyring",
                Is(
                    System(Trouble::NoKernelMemory),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: keyring: the thread keyring, for leaks/canary: the kernel \
                         does not have enough memory\n",
                    ),
                ),
            ),
        ],
    ),
    (
        "full pipe",
        &[
            (EVERYONE, Is(System(Trouble::FullPipe), Value)),
            (EVERYONE, Is(System(Trouble::FullDisk), Failed(FULL_DISK))),
        ],
    ),
    ("no /proc", &[(EVERYONE, Is(System(Trouble::NoProc), Value))]),
    (
        "no HOME",
        &[
            ("env credentials keyring", Is(System(Trouble::Without("HOME")), Value)),
            ("gopass age vault own", Is(System(Trouble::Account), Value)),
        ],
    ),
    (
        "no PATH",
        &[
            ("env age vault credentials keyring own", Is(System(Trouble::Without("PATH")), Value)),
            ("gopass", Is(System(Trouble::Without("PATH")), Failed(GOPASS_ELSEWHERE))),
        ],
    ),
    ("read-only file system", &[(EVERYONE, Is(System(Trouble::ReadOnly), Value))]),
    ("closed standard input", &[(EVERYONE, Is(System(Trouble::Closed(&[0])), Value))]),
    (
        "closed standard output",
        &[
            (EVERYONE, Is(System(Trouble::Closed(&[1])), Failed(NO_OUTPUT))),
            (EVERYONE, Is(System(Trouble::Closed(&[0, 1])), Failed(NO_OUTPUT))),
        ],
    ),
    (
        "closed standard error",
        &[
            (EVERYONE, Is(System(Trouble::Closed(&[2])), Value)),
            (EVERYONE, Is(System(Trouble::Closed(&[0, 2])), Value)),
            // Nobody can be told.
            (EVERYONE, Is(System(Trouble::Closed(&[1, 2])), Failed(""))),
            (EVERYONE, Is(System(Trouble::Closed(&[0, 1, 2])), Failed(""))),
        ],
    ),
    (
        "clock set back",
        &[
            ("gopass env age credentials keyring own", Is(System(Trouble::ClockBack), Value)),
            // The certificate is of today.
            (
                "vault",
                Is(
                    System(Trouble::ClockBack),
                    Failed(
                        "mxm-secrets: leaks/canary: failed: vault: cannot connect to {address}: the server's \
                         certificate is not valid yet\n\
                         mxm-secrets: hint: renew the server's certificate, or set this machine's clock\n",
                    ),
                ),
            ),
        ],
    ),
];

fn scene(backend: &'static str, stage: Stage) -> Option<Scene> {
    match stage {
        Nothing => asked::nothing(backend),
        NoProgram => asked::program(backend, None),
        Program(script) => asked::program(backend, Some(script)),
        Server(does) => asked::server(does),
        Agent => asked::agent(),
        File(puts) => asked::file(backend, puts),
        System(trouble) => system::scene(backend, trouble),
    }
}

/// Whether `seen` is the message to the letter, but for the numbers in the places of `{n}`.
fn is_message(message: &str, seen: &str) -> bool {
    let mut rest = seen;
    for (index, part) in message.split("{n}").enumerate() {
        if index > 0 {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Checks one cell; gives what is wrong with it.
fn check(fault: &str, backend: &'static str, stage: Stage, gives: Gives) -> Vec<String> {
    let Some(scene) = scene(backend, stage) else {
        return Vec::new();
    };
    let (status, message) = match gives {
        Value => (0, ""),
        Missing(message) => (1, message),
        Failed(message) => (4, message),
    };
    // On a slow machine no other fault may become one of being late.
    let late = ["in time", "kept its output open"]
        .iter()
        .any(|words| message.contains(words));
    let timeout = ["--timeout", if late { "1" } else { "60" }];
    let message = scene.fill_in(message);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, arguments: &[&str], status: i32, stdout: &[u8]| {
        let seen =
            (scene.run)(scene.mxm_secrets(&[&arguments[..1], &timeout, &arguments[1..]].concat()));
        let told = is_message(&message, &seen.stderr);
        if (seen.status, seen.stdout.as_slice(), told) != (Some(status), stdout, true) {
            let stdout = String::from_utf8_lossy(&seen.stdout)
                .chars()
                .take(200)
                .collect::<String>();
            wrong.push(format!(
                "{backend}, {fault}: {what}: {:?} {stdout:?} {:?}",
                seen.status, seen.stderr
            ));
        }
    };
    let value = if status == 0 {
        scene.whole.as_slice()
    } else {
        b""
    };
    expect("get", &["get", "--raw", NAME], status, value);
    if status != 0 && !scene.get_alone {
        if status != 1 {
            let arguments = ["get", NAME, "--default", "V"];
            expect("get with a default", &arguments, status, b"");
        }
        expect("resolve", &["resolve", NAME], status, b"");
        expect(
            "exec",
            &["exec", "--secret", NAME, "--", "/bin/echo", "started"],
            125,
            b"",
        );
    }
    let children = fs::read_to_string(scene.home().path().join("children")).unwrap_or_default();
    for pid in children.lines() {
        if !is_gone(pid.parse().unwrap()) {
            wrong.push(format!("{backend}, {fault}: process {pid} is left"));
        }
    }
    wrong
}

/// The cells of a backend, with their faults.
fn cells(backend: &str) -> impl Iterator<Item = (&'static str, Cell)> {
    ROWS.iter().flat_map(move |(fault, cells)| {
        cells
            .iter()
            .filter(move |(names, _)| names.split(' ').any(|name| name == backend))
            .map(move |(_, cell)| (*fault, *cell))
    })
}

/// Checks every cell of a backend, some side by side.
fn every_cell_of(backend: &'static str) {
    const AT_ONCE: usize = 6;
    let cells: Vec<_> = cells(backend).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some((fault, cell)) =
            cells.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            if let Is(stage, gives) = cell {
                wrong.extend(check(fault, backend, *stage, *gives));
            }
        }
        wrong
    };
    let name = std::thread::current().name().unwrap_or("").to_owned();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let start = |_| {
            std::thread::Builder::new()
                .name(name.clone())
                .spawn_scoped(scope, work)
                .unwrap()
        };
        let threads: Vec<_> = (0..AT_ONCE).map(start).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_of_gopass() {
    every_cell_of("gopass");
}

#[test]
fn every_fault_of_env() {
    every_cell_of("env");
}

#[test]
fn every_fault_of_age() {
    every_cell_of("age");
}

#[test]
fn every_fault_of_vault() {
    every_cell_of("vault");
}

#[test]
fn every_fault_of_credentials() {
    every_cell_of("credentials");
}

#[test]
fn every_fault_of_the_keyring() {
    every_cell_of("keyring");
}

#[test]
fn every_fault_of_ones_own() {
    every_cell_of("own");
}

/// Every backend that there is has a cell for every fault.
#[test]
fn the_matrix_has_every_cell() {
    let listed = crate::support::Home::new()
        .run(["list-backends", "--json"])
        .stdout;
    let listed = String::from_utf8(listed).unwrap();
    let built_in = listed
        .lines()
        .filter_map(|line| line.split("\"backend\":\"").nth(1)?.split('"').next());
    let backends: Vec<&str> = built_in.chain(["own"]).collect();
    let sorted = |names: &[&str]| {
        let mut names = names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>();
        names.sort();
        names
    };
    assert_eq!(sorted(&backends), sorted(&BACKENDS));
    assert_eq!(ROWS.iter().map(|row| row.0).collect::<Vec<_>>(), FAULTS);
    for backend in backends {
        for fault in FAULTS {
            let here: Vec<Cell> = cells(backend)
                .filter(|cell| cell.0 == fault)
                .map(|cell| cell.1)
                .collect();
            let never = here
                .iter()
                .filter(|cell| matches!(cell, Never(why) if !why.is_empty()))
                .count();
            assert!(
                never == 0 && !here.is_empty() || never == 1 && here.len() == 1,
                "{backend}: {fault}"
            );
        }
    }
    // No cell has a backend that there is not.
    for (fault, cells) in ROWS {
        for name in cells.iter().flat_map(|(names, _)| names.split(' ')) {
            assert!(BACKENDS.contains(&name), "{fault}: {name}");
        }
    }
}
