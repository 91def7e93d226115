//! What the system refuses, or does to the program in the middle of its work, on every backend with its real store.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::limits::{least_memory, limited};
use super::{Owner, Scene, run};
use crate::support::place::{NAME, Place, strace};
use crate::support::rights::{may_mount, with_account};
use crate::support::vault::{Scripted, kv};
use crate::support::{Home, Transcript, emulated, not_run, program_under_test};

/// What the system does.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Every other call that a signal may interrupt is interrupted.
    Interrupted,
    /// There is no descriptor left for what the backend opens.
    Descriptors,
    /// There is only as much memory as the program needs to begin.
    Memory,
    /// The kernel itself has none left for keys.
    NoKernelMemory,
    /// Standard output is a pipe that is full and does not wait.
    FullPipe,
    /// Standard output is on a full disk.
    FullDisk,
    /// /proc is empty.
    NoProc,
    /// The variable is not set.
    Without(&'static str),
    /// HOME is not set, and the system knows the home directory of the account.
    Account,
    /// Nothing can be written below the home directory.
    ReadOnly,
    /// These standard descriptors are closed.
    Closed(&'static [i32]),
    /// The clock on the wall goes back by an hour whenever it is looked at.
    ClockBack,
    /// A sandbox in which there are no keyrings.
    NoKeyrings,
}

/// The backend in this trouble, with its real store.
pub fn scene(backend: &'static str, trouble: Trouble) -> Option<Scene> {
    if let Trouble::Memory = trouble {
        return memory(backend);
    }
    let place = Place::new(backend)?;
    let whole = run(place.mxm_secrets(["get", "--raw", NAME]));
    assert_eq!(whole.status, Some(0), "{backend}: {}", whole.stderr);
    let mut scene = Scene::of(Owner::Place(place), whole.stdout);
    match trouble {
        Trouble::Interrupted => {
            let first = loader_reads()? + 1;
            traced(&mut scene, move |_| {
                [
                    format!("read:error=EINTR:when={first}+2"),
                    "?readv,write,writev,recvfrom,sendto:error=EINTR:when=1+2".to_owned(),
                    "?poll,ppoll:error=EINTR:when=1+2".to_owned(),
                ]
                .iter()
                .flat_map(|fault| inject(fault))
                .collect()
            })?;
        }
        // What is opened for the backend; the configuration has been read before.
        Trouble::Descriptors => {
            let file = match backend {
                "age" => Some(".passage/store/leaks/canary.age"),
                "credentials" => Some("mnt/leaks_canary"),
                _ => None,
            };
            traced(&mut scene, move |scene| match file {
                Some(file) => {
                    let file = scene.home().path().join(file).display().to_string();
                    let path = ["-P".to_owned(), file];
                    [&path[..], &inject("?open,openat:error=EMFILE")].concat()
                }
                None => inject("pipe,pipe2,socket,socketpair:error=EMFILE"),
            })?;
        }
        Trouble::NoKernelMemory => traced(&mut scene, |_| inject("keyctl:error=ENOMEM"))?,
        Trouble::Memory => unreachable!(),
        Trouble::FullPipe => {
            scene.run = into_a_full_pipe;
            scene.get_alone = true;
        }
        Trouble::FullDisk => {
            scene.run = onto_a_full_disk;
            scene.get_alone = true;
        }
        Trouble::NoProc => mounted(&mut scene, "\"$0\" -t tmpfs none /proc")?,
        Trouble::ReadOnly => mounted(
            &mut scene,
            "\"$0\" --bind \"$HOME\" \"$HOME\" && \"$0\" -o remount,bind,ro \"$HOME\"",
        )?,
        Trouble::Without(variable) => {
            scene.arrange = Box::new(move |_, mut command| {
                command.env_remove(variable);
                command
            });
        }
        Trouble::Account => {
            with_account(scene.home(), &scene.command("true"))?;
            scene.arrange = Box::new(|scene, mut command| {
                command.env_remove("HOME");
                with_account(scene.home(), &command).unwrap()
            });
        }
        Trouble::Closed(closed) => {
            scene.get_alone = true;
            scene.arrange = Box::new(move |_, command| close(command, closed));
        }
        Trouble::ClockBack => {
            let clock = clock()?;
            scene.arrange = Box::new(move |_, mut command| {
                command.env("LD_PRELOAD", &clock);
                command
            });
        }
        Trouble::NoKeyrings => {
            if emulated("qemu itself may not run in it") {
                return None;
            }
            scene.arrange = Box::new(|_, mut command| {
                crate::keyring::refuse(&mut command, libc::ENOSYS);
                command
            });
        }
    }
    Some(scene)
}

fn close(mut command: Command, closed: &'static [i32]) -> Command {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: the descriptors are the program's to be.
    unsafe {
        command.pre_exec(move || {
            for &fd in closed {
                libc::close(fd);
            }
            Ok(())
        });
    }
    command
}

/// Runs the program under strace, whose `options` make calls fail: those of the program itself, not of its children.
fn traced(
    scene: &mut Scene,
    options: impl Fn(&Scene) -> Vec<String> + Send + Sync + 'static,
) -> Option<()> {
    let strace = strace()?;
    scene.arrange = Box::new(move |scene, command| {
        let mut traced = scene.command(&strace);
        traced
            .args(["-qqq", "-o", "/dev/null"])
            .args(options(scene));
        traced.arg(command.get_program()).args(command.get_args());
        traced
    });
    Some(())
}

/// The option that makes these calls fail.
fn inject(fault: &str) -> Vec<String> {
    vec!["-e".to_owned(), format!("inject={fault}")]
}

/// How often the loader of shared libraries reads before the program begins.
fn loader_reads() -> Option<usize> {
    let strace = strace()?;
    let home = Home::new();
    let log = home.path().join("log");
    let mut command = home.command(strace);
    command.args(["-qqq", "-e", "trace=read", "-o"]).arg(&log);
    command.arg(program_under_test()).arg("--version");
    assert_eq!(run(command).status, Some(0));
    Some(fs::read_to_string(log).unwrap().lines().count())
}

/// Runs the program where `script` has mounted something; `$0` is mount.
fn mounted(scene: &mut Scene, script: &'static str) -> Option<()> {
    let (unshare, mount) = may_mount()?;
    scene.arrange = Box::new(move |scene, program| {
        let mut command = scene.command(&unshare);
        command.args(["-m", "/bin/sh", "-c", &format!("{script} && exec \"$@\"")]);
        command.arg(&mount).arg(program.get_program());
        command.args(program.get_args());
        command
    });
    Some(())
}

/// A pipe of one page that is full but for a few bytes, and that does not wait. It is read when the writer waits.
fn into_a_full_pipe(mut command: Command) -> Transcript {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the descriptor is open.
    let size = unsafe {
        libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
        libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096)
    };
    let filled = usize::try_from(size).unwrap() - 7;
    std::io::Write::write_all(&mut (&writer), &vec![b'.'; filled]).unwrap();
    let child = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    std::thread::sleep(Duration::from_millis(300));
    let mut stdout = Vec::new();
    reader.read_to_end(&mut stdout).unwrap();
    let output = child.wait_with_output().unwrap();
    Transcript {
        status: output.status.code(),
        stdout: stdout.split_off(filled),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn onto_a_full_disk(mut command: Command) -> Transcript {
    let disk = fs::OpenOptions::new().write(true).open("/dev/full");
    let child = command
        .stdout(disk.unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Transcript {
        status: output.status.code(),
        stdout: Vec::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// As much memory as the program needs to begin, and a value for which that is too little.
fn memory(backend: &'static str) -> Option<Scene> {
    /// As far as the memory goes that is there at first, and that a child needs.
    const ROOM: u64 = 2 << 20;
    let large = "canary-value\n".repeat(600_000);
    let owner = match backend {
        // The kernel gives no more than this in a variable, and no more in a key: not a byte can be had then.
        "env" | "keyring" => {
            let most = if backend == "env" { 60_000 } else { 16_000 };
            let value = "v".repeat(most);
            let whole = format!("{value}\nuser: {value}\n");
            let place = Place::with(backend, value)?;
            let mut scene = Scene::of(Owner::Place(place), whole);
            scene.run = without_more_memory;
            return Some(scene);
        }
        "vault" => {
            let value = large.replace('\n', "\\n");
            let server = Scripted::answering(kv(&format!("{{\"value\":\"{value}\"}}")));
            let home = server.home();
            Owner::Server(server, home)
        }
        // The real one does not even begin in so little.
        "gopass" => {
            let mut home = Home::new();
            home.link(&["cat"]);
            home.write("large", &large);
            home.fake("gopass", "echo $$ >>children; exec cat large");
            home.set("MXM_SECRETS_BACKENDS", "gopass");
            Owner::Home(home)
        }
        _ => Owner::Place(Place::with(backend, large)?),
    };
    let mut scene = Scene::of(owner, "");
    let program = || scene.command(program_under_test());
    let limit = least_memory(program, libc::RLIMIT_AS) + ROOM;
    scene.arrange = Box::new(move |_, command| limited(command, libc::RLIMIT_AS, limit));
    Some(scene)
}

/// Runs the program with the memory that it has when it begins: stops it where it forbids others to look into it, the
/// first thing it does, and takes all the rest away.
fn without_more_memory(mut command: Command) -> Transcript {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: a system call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let child = command.spawn().unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let stopped = || {
        let mut status = 0;
        // SAFETY: the status is a live number.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert!(libc::WIFSTOPPED(status), "{status}");
    };
    stopped();
    // Without it the kernel does not tell calls from other stops.
    let tell = libc::PTRACE_O_TRACESYSGOOD;
    // SAFETY: plain numbers; the process is stopped and ours.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, tell) };
    assert_eq!(set, 0);
    let begins = || {
        // SAFETY: the process is stopped and ours; the kernel writes no more into the structure than its size, and all
        // zeros is a valid one, whose members for the beginning of a call are those that are read.
        unsafe {
            let mut call: libc::ptrace_syscall_info = std::mem::zeroed();
            libc::ptrace(
                libc::PTRACE_GET_SYSCALL_INFO,
                pid,
                size_of_val(&call),
                &raw mut call,
            );
            call.op == libc::PTRACE_SYSCALL_INFO_ENTRY
                && call.u.entry.nr == libc::SYS_prctl as u64
                && call.u.entry.args[0] == libc::PR_SET_DUMPABLE as u64
        }
    };
    while !begins() {
        // SAFETY: plain numbers; the process is stopped and ours.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) }, 0);
        stopped();
    }
    let nothing = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is a live one, and nothing is asked for; the process is stopped and ours.
    unsafe {
        let none = std::ptr::null_mut();
        let limited = libc::prlimit(pid, libc::RLIMIT_AS, &raw const nothing, none);
        assert_eq!(limited, 0);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0), 0);
    }
    let output = child.wait_with_output().unwrap();
    Transcript {
        status: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A library that is loaded before all others, and whose clock on the wall goes back by an hour whenever it is looked
/// at. `None` (said loudly) for a program that loads none.
fn clock() -> Option<PathBuf> {
    const SOURCE: &str = r#"
        #define _GNU_SOURCE
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>
        static long back;
        int clock_gettime(clockid_t clock, struct timespec *time) {
            int status = syscall(SYS_clock_gettime, clock, time);
            if (clock == CLOCK_REALTIME) time->tv_sec -= __atomic_add_fetch(&back, 3600, __ATOMIC_RELAXED);
            return status;
        }
        int gettimeofday(struct timeval *time, void *zone) {
            (void)zone;
            struct timespec now;
            int status = clock_gettime(CLOCK_REALTIME, &now);
            time->tv_sec = now.tv_sec;
            time->tv_usec = now.tv_nsec / 1000;
            return status;
        }
        time_t time(time_t *into) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (into) *into = now.tv_sec;
            return now.tv_sec;
        }
    "#;
    static CLOCK: OnceLock<(Home, PathBuf)> = OnceLock::new();
    if std::env::var_os("MXM_SECRETS_TEST_PROGRAM").is_some() {
        not_run("a static program asks the kernel itself for the time");
        return None;
    }
    let (_, library) = CLOCK.get_or_init(|| {
        let home = Home::new();
        let source = home.write("clock.c", SOURCE);
        let library = home.path().join("clock.so");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status();
        assert!(made.unwrap().success());
        (home, library)
    });
    Some(library.clone())
}

/// A deadline is kept by a clock that nobody can set.
#[test]
fn a_deadline_is_kept_when_the_clock_goes_back() {
    let Some(clock) = clock() else { return };
    let home = Home::new();
    home.link(&["sleep", "date"]);
    home.fake(
        "gopass",
        "date +%s >>times; date +%s >>times; exec sleep 1000",
    );
    let mut command = home.mxm_secrets(["get", "--timeout", "3", "a"]);
    command.env("LD_PRELOAD", clock);
    run(command).is(
        4,
        "",
        "mxm-secrets: a: failed: gopass: gopass gave no answer in time and was killed, asked for a\n",
    );
    // What should go back did.
    let times = fs::read_to_string(home.path().join("times")).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    assert_eq!(times.lines().count(), 2);
    assert!(
        times
            .lines()
            .all(|time| time.parse::<u64>().unwrap() <= now - 3000),
        "{times}"
    );
}

/// The clock on the wall is for certificates alone.
#[test]
fn no_source_looks_at_the_clock_on_the_wall() {
    fn look(directory: &std::path::Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                for clock in ["SystemTime", "CLOCK_REALTIME", "gettimeofday"] {
                    assert!(!text.contains(clock), "{clock} in {}", path.display());
                }
            }
        }
    }
    look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
