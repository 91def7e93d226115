//! What the system refuses, or does to the program in the middle of its work, on every backend with its real store.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::run;
use crate::leaks::{NAME, Place};
use crate::support::{Home, Transcript, find, not_run, transcript};

const BACKENDS: [&str; 7] = [
    "env",
    "gopass",
    "age",
    "vault",
    "credentials",
    "keyring",
    "own",
];

/// Runs `check` on every backend, side by side, with what an undisturbed lookup prints.
fn everywhere(check: impl Fn(&Place, &[u8]) + Sync) {
    std::thread::scope(|scope| {
        for backend in BACKENDS {
            let check = &check;
            let test = std::thread::current().name().unwrap_or("").to_owned();
            std::thread::Builder::new()
                .name(format!("{test}: {backend}"))
                .spawn_scoped(scope, move || {
                    let Some(place) = Place::new(backend) else {
                        return;
                    };
                    let whole = run(&mut get(&place));
                    assert_eq!(whole.status, Some(0), "{backend}: {}", whole.stderr);
                    check(&place, &whole.stdout);
                })
                .unwrap();
        }
    });
}

/// A lookup with time enough for a busy machine.
fn get(place: &Place) -> Command {
    place.mxm_secrets(["get", "--raw", "--timeout", "60", NAME])
}

/// Whatever was in the way: either the whole value with status 0, or a failure that is told, with nothing printed.
#[track_caller]
fn found_or_failed(place: &Place, fault: &str, seen: &Transcript, whole: &[u8]) {
    let backend = place.backend;
    match seen.status {
        Some(0) => assert_eq!(seen.stdout, whole, "{backend}, {fault}: {}", seen.stderr),
        Some(4) => {
            let told = seen.stderr.starts_with("mxm-secrets: ");
            assert!(
                told && seen.stdout.is_empty(),
                "{backend}, {fault}: {seen:?}"
            );
        }
        _ => panic!("{backend}, {fault}: {seen:?}"),
    }
    assert!(
        !seen.stderr.contains(&place.canary),
        "{backend}, {fault}: {seen:?}"
    );
}

/// Sets limits before the program starts.
fn limited(mut command: Command, resource: u32, limit: u64) -> Command {
    let set = move || {
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: the pointer is to a live structure.
        match unsafe { libc::setrlimit(resource as _, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(set) };
    command
}

#[test]
fn every_standard_stream_may_be_closed() {
    everywhere(|place, whole| {
        for closed in 1..8 {
            let mut command = get(place);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let close = move || {
                for fd in (0..3).filter(|fd| closed & (1 << fd) != 0) {
                    // SAFETY: the descriptor is the program's to be.
                    unsafe { libc::close(fd) };
                }
                Ok(())
            };
            // SAFETY: system calls alone.
            unsafe { command.pre_exec(close) };
            let seen = run(&mut command);
            let (out, err) = (closed & 2 == 0, closed & 4 == 0);
            let place = place.backend;
            assert_eq!(
                seen.status,
                Some(if out { 0 } else { 4 }),
                "{place}: {seen:?}"
            );
            assert_eq!(seen.stdout, if out { whole } else { b"" }, "{place}");
            let told =
                "mxm-secrets: cannot write to standard output: Bad file descriptor (os error 9)\n";
            assert_eq!(seen.stderr, if !out && err { told } else { "" }, "{place}");
        }
    });
}

#[test]
fn descriptors_may_run_out() {
    everywhere(|place, whole| {
        for limit in 3..20 {
            let seen = run(&mut limited(get(place), libc::RLIMIT_NOFILE, limit));
            // That is the end before the beginning, where libraries are shared.
            if seen.stderr.contains("error while loading shared libraries") {
                continue;
            }
            found_or_failed(place, &format!("{limit} descriptors"), &seen, whole);
        }
    });
}

#[test]
fn memory_may_run_out() {
    everywhere(|place, whole| {
        for resource in [libc::RLIMIT_AS, libc::RLIMIT_DATA] {
            let mut limit: u64 = 1 << 18;
            while limit < 1 << 30 {
                // Below that the program cannot be started at all.
                let version = place.mxm_secrets(["--version"]);
                if run(&mut limited(version, resource, limit)).status == Some(0) {
                    let seen = run(&mut limited(get(place), resource, limit));
                    found_or_failed(place, &format!("{limit} bytes of memory"), &seen, whole);
                }
                limit += limit / 6;
            }
        }
    });
}

/// Where it runs out in the middle of the work, that is told, and exec starts nothing.
#[test]
fn memory_may_run_out_in_the_middle() {
    let mut home = Home::new();
    let value = "canary ".repeat(1_200_000);
    home.write("mnt/a", &value);
    home.set("CREDENTIALS_DIRECTORY", home.path().join("mnt"));
    home.set("MXM_SECRETS_BACKENDS", "credentials");
    let ask =
        |arguments: &[&str], limit| run(&mut limited_memory(home.mxm_secrets(arguments))(limit));
    let enough = (1..)
        .map(|n| n << 18)
        .find(|&limit| ask(&["--version"], limit).status == Some(0));
    let enough = enough.unwrap() + (2 << 20);
    let told = "mxm-secrets: there is not enough memory\n";
    ask(&["get", "a"], enough).is(4, "", told);
    ask(&["resolve", "a"], enough).is(4, "", told);
    ask(
        &["exec", "--secret", "a", "--", "/bin/echo", "started"],
        enough,
    )
    .is(125, "", told);
    assert_eq!(
        ask(&["get", "--raw", "a"], enough + (100 << 20)).stdout,
        value.as_bytes()
    );
}

/// A child that goes on without us is ended with us.
#[test]
fn no_child_is_left_when_memory_runs_out() {
    let mut home = Home::new();
    home.link(&["head", "sleep"]);
    home.fake(
        "gopass",
        "echo $$ >child; head -c 14000000 /dev/zero; exec sleep 1000",
    );
    home.set("MXM_SECRETS_BACKENDS", "gopass");
    let mut short = 0;
    for limit in (8..40).step_by(4) {
        let command = home.mxm_secrets(["get", "a"]);
        let mut command = limited_memory(command)(limit << 20);
        let child = home.path().join("child");
        let _ = std::fs::remove_file(&child);
        let seen = run(command.env("MXM_SECRETS_TIMEOUT", "1"));
        if seen.stderr == "mxm-secrets: there is not enough memory\n" {
            assert_eq!(seen.status, Some(4));
            short += 1;
            let pid = std::fs::read_to_string(child).unwrap();
            assert!(super::is_gone(pid.trim()), "{limit} MiB: {pid} is left");
        }
    }
    assert!(short > 0, "no limit was small enough");
}

fn limited_memory(command: Command) -> impl FnOnce(u64) -> Command {
    move |limit| limited(command, libc::RLIMIT_AS, limit)
}

#[test]
fn a_signal_that_is_none_of_ours_changes_nothing() {
    everywhere(|place, whole| {
        let mut child = start(place);
        let pid = child.id() as libc::pid_t;
        while child.try_wait().unwrap().is_none() {
            for signal in [libc::SIGWINCH, libc::SIGCHLD, libc::SIGSTOP, libc::SIGCONT] {
                // SAFETY: the child has not been reaped.
                unsafe { libc::kill(pid, signal) };
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let output = child.wait_with_output().unwrap();
        let seen = String::from_utf8_lossy(&output.stderr);
        let backend = place.backend;
        assert_eq!(output.status.code(), Some(0), "{backend}: {seen}");
        assert_eq!(output.stdout, whole, "{backend}");
    });
}

fn start(place: &Place) -> Child {
    get(place)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_may_be_slow_and_a_pipe_full() {
    everywhere(|place, whole| {
        // A pipe of one page that is full but for a few bytes, and that does not wait.
        let (mut reader, writer) = std::io::pipe().unwrap();
        // SAFETY: the descriptor is open.
        let size = unsafe {
            libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
            libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096)
        };
        let filled = usize::try_from(size).unwrap() - 7;
        std::io::Write::write_all(&mut (&writer), &vec![b'.'; filled]).unwrap();
        let mut command = get(place);
        let child = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(command);
        std::thread::sleep(Duration::from_millis(300));
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {told}", place.backend);
        assert_eq!(&seen[filled..], whole, "{}", place.backend);
    });
}

#[test]
fn a_signal_ends_a_write_that_waits() {
    everywhere(|place, _| {
        for wait in [0, libc::O_NONBLOCK] {
            let (reader, writer) = std::io::pipe().unwrap();
            // SAFETY: the descriptor is open.
            unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
            std::io::Write::write_all(&mut (&writer), &[b'.'; 4096]).unwrap();
            // SAFETY: as above.
            unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, wait) };
            let mut child = get(place).stdout(writer).spawn().unwrap();
            let waits = || {
                let status = std::fs::read_to_string(format!("/proc/{}/wchan", child.id()));
                status.is_ok_and(|place| place.contains("pipe") || place.contains("poll"))
            };
            while !waits() {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(300));
            assert!(child.try_wait().unwrap().is_none());
            // SAFETY: the child has not been reaped.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(libc::SIGTERM), "{}", place.backend);
            drop(reader);
        }
    });
}

#[test]
fn the_environment_may_say_nothing() {
    for (variable, expected) in [
        (
            "HOME",
            [
                ("env", 0, ""),
                ("gopass", 0, ""),
                ("age", 4, "there is no age store"),
                ("vault", 4, ""),
                ("credentials", 0, ""),
                ("keyring", 0, ""),
                ("own", 2, "own"),
            ],
        ),
        (
            "PATH",
            [
                ("env", 0, ""),
                ("gopass", 4, "gopass is not installed"),
                ("age", 0, ""),
                ("vault", 0, ""),
                ("credentials", 0, ""),
                ("keyring", 0, ""),
                ("own", 0, ""),
            ],
        ),
    ] {
        everywhere(|place, whole| {
            let (_, status, told) = expected
                .iter()
                .find(|(name, ..)| *name == place.backend)
                .unwrap();
            let seen = run(get(place).env_remove(variable));
            assert_eq!(
                seen.status,
                Some(*status),
                "{} without {variable}: {seen:?}",
                place.backend
            );
            assert_eq!(seen.stdout, if *status == 0 { whole } else { b"" });
            assert!(
                seen.stderr.contains(told),
                "{} without {variable}: {seen:?}",
                place.backend
            );
        });
    }
}

#[test]
fn proc_may_be_missing_and_the_disk_read_only() {
    let (Some(unshare), Some(mount)) = (find("unshare"), find("mount")) else {
        return not_run("unshare and mount are not here");
    };
    let root = transcript(Command::new(&unshare).args(["-m", "true"])).status == Some(0);
    if !root {
        return not_run("only root can take /proc away");
    }
    everywhere(|place, whole| {
        let home = place.home().path().display();
        for (fault, script) in [
            ("no /proc", "\"$0\" -t tmpfs none /proc".to_owned()),
            (
                "read-only",
                format!("\"$0\" --bind {home} {home} && \"$0\" -o remount,bind,ro {home}"),
            ),
        ] {
            let program = get(place);
            let mut command = place.command(&unshare);
            command.args(["-m", "/bin/sh", "-c", &format!("{script} && exec \"$@\"")]);
            command
                .arg(&mount)
                .arg(program.get_program())
                .args(program.get_args());
            found_or_failed(place, fault, &run(&mut command), whole);
        }
    });
}

/// A deadline is kept by a clock that nobody can set: [`std::time::Instant`]. The other one is for certificates alone.
#[test]
fn no_deadline_looks_at_the_clock_on_the_wall() {
    fn look(directory: &std::path::Path) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                for clock in ["SystemTime", "CLOCK_REALTIME", "gettimeofday"] {
                    assert!(!text.contains(clock), "{clock} in {}", path.display());
                }
            }
        }
    }
    look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
