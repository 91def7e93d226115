//! Limits of every size, and what goes on between two of them: whatever the moment is at which something runs out, the
//! answer is the whole value or a failure that is told.

use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Scene, run};
use crate::leaks::{NAME, Place};
use crate::support::{Home, Transcript};

pub const BACKENDS: [&str; 7] = [
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
                    let whole = run(get(&place));
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
pub fn limited(mut command: Command, resource: u32, limit: u64) -> Command {
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

/// The least memory with which the program begins at all, in bytes.
pub fn least_memory(scene: &Scene, resource: u32) -> u64 {
    let begins = |pages: u64| {
        let command = scene.command(crate::support::program_under_test());
        let mut command = limited(command, resource, pages << 12);
        command.arg("--version");
        run(command).status == Some(0)
    };
    let (mut too_little, mut enough) = (0, 1 << 18);
    assert!(begins(enough));
    while enough - too_little > 1 {
        let middle = too_little.midpoint(enough);
        match begins(middle) {
            true => enough = middle,
            false => too_little = middle,
        }
    }
    enough << 12
}

#[test]
fn descriptors_may_run_out() {
    everywhere(|place, whole| {
        for limit in 3..20 {
            let seen = run(limited(get(place), libc::RLIMIT_NOFILE, limit));
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
                if run(limited(version, resource, limit)).status == Some(0) {
                    let seen = run(limited(get(place), resource, limit));
                    found_or_failed(place, &format!("{limit} bytes of memory"), &seen, whole);
                }
                limit += limit / 6;
            }
        }
    });
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
        let mut command = limited(command, libc::RLIMIT_AS, limit << 20);
        let child = home.path().join("child");
        let _ = std::fs::remove_file(&child);
        command.env("MXM_SECRETS_TIMEOUT", "1");
        let seen = run(command);
        if seen.stderr == "mxm-secrets: there is not enough memory\n" {
            assert_eq!(seen.status, Some(4));
            short += 1;
            let pid = std::fs::read_to_string(child).unwrap();
            assert!(super::is_gone(pid.trim()), "{limit} MiB: {pid} is left");
        }
    }
    assert!(short > 0, "no limit was small enough");
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
