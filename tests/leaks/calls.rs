//! The system calls of the program, all that name a file, a process or the network, or that write: each is either among
//! those that only read, or has its reason here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::left_by;
use crate::support::place::{NAME, Place, strace};
use crate::support::{program_under_test, transcript};

/// What is recorded. A question mark: not every machine has it.
const RECORDED: &str = "trace=%file,%network,%process,?write,?pwrite64,?writev,?pwritev,?pwritev2,?sendfile,\
    ?sendfile64,?copy_file_range,?splice,?vmsplice,?tee,?ftruncate,?fallocate,?fchmod,?fchown,?fsetxattr,\
    ?fremovexattr,?memfd_create,?memfd_secret,?io_uring_setup,?mmap,?shmget,?mq_open,?setns,?unshare,?bpf,\
    ?add_key,?request_key,?keyctl";

/// Calls that change nothing outside of the process, whatever their arguments are.
const HARMLESS: &[&str] = &[
    "access",
    "faccessat",
    "faccessat2",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "fstatat64",
    "statx",
    "statfs",
    "fstatfs",
    "readlink",
    "readlinkat",
    "getcwd",
    // Only ever to whom `connect` has gone.
    "socket",
    "socketpair",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "sendto",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "shutdown",
    // A child, and its end.
    "clone",
    "clone3",
    "fork",
    "vfork",
    "wait4",
    "waitid",
    "kill",
    "tgkill",
    "exit",
    "exit_group",
    "pidfd_open",
    "pidfd_send_signal",
    // The file that `exec --file` gives to the command.
    "memfd_create",
    // Asks for a key that is already there; without a program to make it. See below for keyctl.
    "request_key",
];

/// What of keyctl is used: none of it makes, changes or removes a key. To link makes a key readable by this process
/// alone: its own keyring ends with it.
const KEYCTL: &[&str] = &[
    "KEYCTL_GET_KEYRING_ID",
    "KEYCTL_SEARCH",
    "KEYCTL_READ",
    "KEYCTL_DESCRIBE",
    "KEYCTL_LINK",
    "KEYCTL_GET_PERSISTENT",
];

/// The calls of one run, a list for each thread and process.
struct Trace {
    threads: BTreeMap<i32, Vec<String>>,
    root: i32,
}

impl Trace {
    fn read(directory: &Path) -> Trace {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let id = path.extension().unwrap().to_str().unwrap().parse().unwrap();
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let calls = text.lines().filter(|line| !line.starts_with(['+', '-']));
            threads.insert(id, calls.map(str::to_owned).collect::<Vec<_>>());
        }
        let start = format!("execve(\"{}\"", program_under_test().display());
        let mut roots = threads.iter().filter(|(_, calls)| {
            calls
                .first()
                .is_some_and(|call: &String| call.starts_with(&start))
        });
        let root = *roots.next().unwrap().0;
        assert_eq!(roots.next(), None, "started twice");
        Trace { threads, root }
    }

    /// The calls of the program itself: of all its threads, and of its children until they have become other programs.
    ///
    /// Whom a call has made is in its answer. Another program may end while one of its threads makes one more, so that
    /// a thread is recorded of which no answer tells; of the program itself no call that makes one goes unanswered.
    #[track_caller]
    fn own(&self) -> Vec<&str> {
        let mut own = Vec::new();
        let (mut waiting, mut first) = (vec![self.root], true);
        while let Some(id) = waiting.pop() {
            let calls = self.threads.get(&id).map(Vec::as_slice).unwrap_or_default();
            // The first call of all starts the program.
            for call in &calls[usize::from(first)..] {
                own.push(call.as_str());
                waiting.extend(child(call));
                if call.starts_with("execve(") && call.ends_with(" = 0") {
                    break;
                }
            }
            first = false;
        }
        own
    }

    /// Every program that was started, but for the one under test.
    fn started(&self) -> Vec<&str> {
        self.threads
            .iter()
            .flat_map(|(id, calls)| calls.iter().skip(usize::from(*id == self.root)))
            .map(String::as_str)
            .filter(|call| call.starts_with("execve("))
            .collect()
    }
}

/// The thread or process that a call has made.
#[track_caller]
fn child(call: &str) -> Option<i32> {
    let makes = ["clone(", "clone3(", "fork(", "vfork("];
    makes
        .iter()
        .any(|name| call.starts_with(name))
        .then_some(())?;
    let answer = call.rsplit_once(" = ")?.1;
    // A signal came first: the call is made again, and recorded again.
    if answer.starts_with("? ERESTART") {
        return None;
    }
    let id = answer.split(' ').next().and_then(|id| id.parse().ok());
    Some(id.unwrap_or_else(|| panic!("whom has it made? {call}")))
}

/// Why a call is not allowed.
fn objection(call: &str, peers: &[String]) -> Option<&'static str> {
    let (name, arguments) = call.split_once('(')?;
    let has = |text: &str| arguments.contains(text);
    match name {
        "open" | "openat" | "openat2" => {
            let writes = [
                "O_WRONLY",
                "O_RDWR",
                "O_CREAT",
                "O_TRUNC",
                "O_APPEND",
                "O_TMPFILE",
            ];
            // Standard input of a child.
            let null = has("\"/dev/null\", O_RDWR") || has("\"/dev/null\", O_WRONLY");
            (writes.iter().any(|flag| has(flag)) && !null).then_some("opens for writing")
        }
        "connect" => (!peers.iter().any(|peer| has(peer))).then_some("connects elsewhere"),
        "write" | "writev" => {
            // Standard output and error are pipes in these tests.
            let target = arguments.split(',').next()?;
            let kinds = [
                "<pipe:",
                "<UNIX",
                "<TCP:",
                "<socket:",
                "<unix:",
                "</memfd:secret",
            ];
            (!kinds.iter().any(|kind| target.contains(kind))).then_some("writes to a file")
        }
        "fchmod" => (!has("</memfd:secret")).then_some("changes the mode of a file"),
        "mmap" => (has("MAP_SHARED") && has("PROT_WRITE")).then_some("writes to a file in memory"),
        "keyctl" => (!KEYCTL.iter().any(|call| arguments.starts_with(call)))
            .then_some("changes a key or a keyring"),
        "execve" => {
            let shells = ["sh", "bash", "dash", "zsh", "ksh", "fish"];
            let program = arguments.split('"').nth(1)?.rsplit('/').next()?;
            shells.contains(&program).then_some("starts a shell")
        }
        _ => (!HARMLESS.contains(&name)).then_some("is not known to be harmless"),
    }
}

/// Whether the arguments are a mistake, so that nothing is asked.
pub fn is_usage(backend: &str, arguments: &[&str]) -> bool {
    let wrong = ["--no-such-option", "../x", "no-such-backend"];
    arguments == ["get"]
        || arguments == ["no-such-command"]
        // Only a backend of one's own has a configuration that could be checked.
        || (arguments.contains(&"--check") && backend != "own")
        || arguments.iter().any(|argument| wrong.contains(argument))
}

/// Runs the program under strace and looks at all it does.
#[track_caller]
fn only_reads(place: &Place, strace: &Path, arguments: &[&str]) {
    let what = format!("{} {arguments:?}", place.backend);
    let directory = place.home().path().join("trace");
    fs::create_dir(&directory).unwrap();
    let mut command = place.command(strace);
    command.args([
        "-f", "-ff", "-yy", "-v", "-s", "65536", "-e", RECORDED, "-o",
    ]);
    command
        .arg(directory.join("of"))
        .arg(program_under_test())
        .args(arguments);
    let seen = transcript(&mut command);
    assert_eq!(
        seen.status == Some(2),
        is_usage(place.backend, arguments),
        "{what}: {}",
        seen.stderr
    );
    if let ["get", NAME] | ["exec", "--secret", .., "/bin/true"] = arguments {
        assert_eq!(seen.status, Some(0), "{what}: {}", seen.stderr);
    }
    assert!(!seen.stderr.contains("strace"), "{what}: {}", seen.stderr);
    assert_eq!(left_by(place.home()), Vec::<String>::new(), "{what}");

    let trace = Trace::read(&directory);
    let own = trace.own();
    let ends = |call: &&str| call.starts_with("exit_group(") || call.contains("/true\"");
    assert!(own.iter().any(ends), "{what}: {own:?}");
    for call in own {
        if let Some(why) = objection(call, &place.peers) {
            panic!("{what}: {why}: {call}");
        }
    }
    for call in trace.started() {
        let (argv, environment) = call.split_once("], [").unwrap();
        // The command of exec, unless it is given a file, and whoever inherits what the user has put into the environment.
        let given = arguments.contains(&"--secret") || place.backend == "env";
        for canary in [Some(&place.canary), place.credential.as_ref()] {
            let Some(canary) = canary.map(String::as_str) else {
                continue;
            };
            assert!(!argv.contains(canary), "{what}: {call}");
            let credential = place.credential.as_deref() == Some(canary);
            assert!(
                !environment.contains(canary) || given && !credential,
                "{what}: {call}"
            );
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}

fn every_command_only_reads(place: Option<Place>) {
    let (Some(strace), Some(place)) = (strace(), place) else {
        return;
    };
    let file = format!("F={NAME}");
    for arguments in [
        &["get", NAME][..],
        &["get", "no/such"],
        &["get"],
        &["get", "--no-such-option"],
        &["get", "../x"],
        &["get", "--backend", "no-such-backend", NAME],
        &["no-such-command"],
        &["resolve", "--explain", "--all", NAME, "no/such"],
        &["list-backends"],
        &["config"],
        &["config", "--check"],
        &["--help"],
        &["get", "-h"],
        &["--version"],
        &["exec", "--secret", NAME, "--file", &file, "--", "/bin/true"],
        &["exec", "--file", &file, "--", "/bin/true"],
        &["exec", "--secret", NAME, "--", "no-such-command"],
    ] {
        only_reads(&place, &strace, arguments);
    }
}

#[test]
fn with_env_every_command_only_reads() {
    every_command_only_reads(Place::new("env"));
}

#[test]
fn with_gopass_every_command_only_reads() {
    every_command_only_reads(Place::new("gopass"));
}

#[test]
fn with_age_every_command_only_reads() {
    every_command_only_reads(Place::new("age"));
}

#[test]
fn with_vault_every_command_only_reads() {
    every_command_only_reads(Place::new("vault"));
}

#[test]
fn with_credentials_every_command_only_reads() {
    every_command_only_reads(Place::new("credentials"));
}

#[test]
fn with_the_keyring_every_command_only_reads() {
    every_command_only_reads(Place::new("keyring"));
}

#[test]
fn with_a_backend_of_ones_own_every_command_only_reads() {
    every_command_only_reads(Place::new("own"));
}

#[test]
fn with_a_login_by_approle_every_command_only_reads() {
    every_command_only_reads(Place::login("approle"));
}

#[test]
fn with_a_login_by_jwt_every_command_only_reads() {
    every_command_only_reads(Place::login("jwt"));
}

#[test]
fn with_a_login_by_a_workflow_every_command_only_reads() {
    every_command_only_reads(Place::workflow());
}

#[test]
fn with_an_agent_every_command_only_reads() {
    every_command_only_reads(Place::agent());
}

#[test]
fn with_a_plugin_of_age_every_command_only_reads() {
    every_command_only_reads(Place::plugin());
}

/// What is looked for would be found.
#[test]
fn calls_that_write_are_objected_to() {
    let peers = [
        "sin_port=htons(8200), sin_addr=inet_addr(\"127.0.0.1\")".to_owned(),
        "sun_path=\"/run/agent\"".to_owned(),
    ];
    let allowed = peers
        .each_ref()
        .map(|peer| format!("connect(3<socket:[1]>, {{sa_family=AF_INET, {peer}}}, 16) = 0"));
    assert!(allowed.iter().all(|call| objection(call, &peers).is_none()));
    for call in [
        "openat(AT_FDCWD</>, \"/tmp/x\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</tmp/x>",
        "openat(AT_FDCWD</>, \"/tmp/x\", O_RDWR) = 3</tmp/x>",
        "mkdir(\"/tmp/x\", 0777) = 0",
        "unlink(\"/tmp/x\") = -1 ENOENT (No such file or directory)",
        "renameat2(AT_FDCWD</>, \"a\", AT_FDCWD</>, \"b\", 0) = 0",
        "connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0",
        "connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(8200), sin_addr=inet_addr(\"10.0.0.1\")}, 16) = 0",
        "connect(3<UNIX:[1]>, {sa_family=AF_UNIX, sun_path=\"/x\"}, 110) = 0",
        "write(3</tmp/x>, \"a\", 1) = 1",
        "fchmod(3</tmp/x>, 0400) = 0",
        "execve(\"/bin/sh\", [\"sh\", \"-c\", \"a\"], [\"A=b\"]) = 0",
        "keyctl(KEYCTL_UPDATE, 1, \"a\", 1) = 0",
        "mmap(NULL, 1, PROT_READ|PROT_WRITE, MAP_SHARED, 3</tmp/x>, 0) = 0x1",
    ] {
        assert!(objection(call, &peers).is_some(), "{call}");
    }
}

fn trace_of(calls: [&[&str]; 3]) -> Trace {
    let lists = calls.map(|calls| calls.iter().map(|call| call.to_string()).collect());
    Trace {
        threads: (1..).zip(lists).collect(),
        root: 1,
    }
}

const UNANSWERED: &str = "clone3({flags=CLONE_VM|CLONE_THREAD} <unfinished ...>) = ?";

/// A Go program ends whatever its other threads are doing.
#[test]
fn a_thread_of_which_no_answer_tells_is_of_another_program() {
    let trace = trace_of([
        &[
            "execve(\"a\")",
            "vfork() = ? ERESTARTNOINTR (To be restarted)",
            "vfork() = 2",
        ],
        &["chdir(\"/\")", "execve(\"b\") = 0", UNANSWERED],
        &["unlink(\"a\")"],
    ]);
    assert_eq!(trace.own()[2..], ["chdir(\"/\")", "execve(\"b\") = 0"]);
    assert_eq!(trace.started(), ["execve(\"b\") = 0"]);
}

#[test]
#[should_panic = "whom has it made"]
fn a_call_of_ones_own_is_not_lost_with_its_answer() {
    trace_of([&["execve(\"a\")", UNANSWERED], &[], &["unlink(\"a\")"]]).own();
}
