//! Limits of every size, and what goes on between two of them: whatever the moment is at which something runs out, the
//! answer is the whole value or a failure that is told.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::run;
use crate::support::place::{NAME, Place};
use crate::support::vault::eventually;
use crate::support::{Home, Transcript, full_pipe, is_gone, program_under_test, state};

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

/// Whatever the limit is: the whole value and nothing else, or a failure with one of these messages.
#[track_caller]
fn whole_or_told(place: &Place, fault: &str, seen: &Transcript, whole: &[u8], messages: &[&str]) {
    let home = place.home().path().display().to_string();
    let ended = |text: &str| {
        Some(
            text.split_once(" ended with ")?
                .1
                .split_once(" for ")?
                .0
                .to_owned(),
        )
    };
    let how = ended(&seen.stderr).unwrap_or_default();
    let told =
        |message: &&str| seen.stderr == message.replace("{home}", &home).replace("{how}", &how);
    let fine = match seen.status {
        Some(0) => seen.stdout == whole && seen.stderr.is_empty(),
        Some(4) => seen.stdout.is_empty() && messages.iter().any(told),
        _ => false,
    };
    assert!(fine, "{}, {fault}: {seen:?}", place.backend);
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
pub fn least_memory(program: impl Fn() -> Command, resource: u32) -> u64 {
    let begins = |pages: u64| {
        let mut command = limited(program(), resource, pages << 12);
        command.arg("--version");
        run(command).status == Some(0)
    };
    let (mut too_little, mut enough) = (0, 1 << 18);
    assert!(begins(enough) && !begins(1));
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
        let messages: &[&str] = match place.backend {
            // It has enough for itself, and its gpg has not.
            "gopass" => &[
                "mxm-secrets: leaks/canary: failed: gopass: gopass cannot be run: Too many open files (os error 24), asked for \
                 leaks/canary\n",
                "mxm-secrets: leaks/canary: failed: gopass: leaks/canary cannot be decrypted: locked or wrong key, or a damaged \
                 file\nmxm-secrets: hint: to see its error output, run: gopass show -- leaks/canary\n",
            ],
            "age" => &[
                "mxm-secrets: leaks/canary: failed: age: cannot read {home}/.passage/store/leaks/canary.age: Too \
                 many open files (os error 24)\n",
            ],
            "vault" => &[
                "mxm-secrets: leaks/canary: failed: vault: cannot read {home}/.vault-token: Too many open files (os \
                 error 24)\n",
            ],
            "credentials" => &[
                "mxm-secrets: leaks/canary: failed: credentials: cannot read {home}/mnt/leaks/canary: Too many \
                 open files (os error 24)\n",
            ],
            "own" => &[
                "mxm-secrets: leaks/canary: failed: own: cat cannot be run: Too many open files (os error 24) \
                 (leaks/canary)\n",
            ],
            _ => &[],
        };
        let mut failed = 0;
        for limit in 3..20 {
            let seen = run(limited(get(place), libc::RLIMIT_NOFILE, limit));
            failed += usize::from(seen.status != Some(0));
            // That is the end before the beginning, where libraries are shared.
            if seen.stderr.contains("error while loading shared libraries") {
                continue;
            }
            let fault = format!("{limit} descriptors");
            whole_or_told(place, &fault, &seen, whole, messages);
        }
        // Those without a message need none.
        assert!(failed > 0 || messages.is_empty(), "{}", place.backend);
    });
}

#[test]
fn memory_may_run_out() {
    everywhere(|place, whole| {
        let messages: &[&str] = match place.backend {
            // It has no words for it, and dies in many ways, if there is enough to start it.
            "gopass" => &[
                "mxm-secrets: leaks/canary: failed: gopass: gopass cannot be run: Cannot allocate memory (os error 12), asked for \
                 leaks/canary\n",
                "mxm-secrets: leaks/canary: failed: gopass: gopass show ended with {how} for leaks/canary\n\
                 mxm-secrets: hint: to see its error output, run: gopass show -- leaks/canary\n",
            ],
            "own" => &[
                "mxm-secrets: leaks/canary: failed: own: cat cannot be run: Cannot allocate memory (os error 12) \
                 (leaks/canary)\n",
                "mxm-secrets: there is not enough memory\n",
            ],
            _ => &["mxm-secrets: there is not enough memory\n"],
        };
        for resource in [libc::RLIMIT_AS, libc::RLIMIT_DATA] {
            let mut limit = least_memory(|| place.command(program_under_test()), resource);
            while limit < 1 << 30 {
                let seen = run(limited(get(place), resource, limit));
                let fault = format!("{limit} bytes of memory");
                whole_or_told(place, &fault, &seen, whole, messages);
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
            assert!(
                is_gone(pid.trim().parse().unwrap()),
                "{limit} MiB: {pid} is left"
            );
        }
    }
    assert!(short > 0, "no limit was small enough");
}

/// Who reads JSON gets JSON then, too.
#[test]
fn the_want_of_memory_is_told_as_json() {
    let mut home = Home::new();
    home.link(&["head"]);
    home.fake("gopass", "head -c 14000000 /dev/zero");
    home.set("MXM_SECRETS_BACKENDS", "gopass");
    let told = r#"{"schema":1,"problem":"failed","name":null,"message":"there is not enough memory","hint":null,"transient":true}"#;
    let mut short = 0;
    for limit in (8..40).step_by(4) {
        let exec = ["exec", "--json-errors", "--secret", "a", "--", "true"];
        let seen = run(limited(
            home.mxm_secrets(exec),
            libc::RLIMIT_AS,
            limit << 20,
        ));
        if seen.stderr.contains("not enough memory") {
            assert_eq!((seen.status, seen.stderr.trim_end()), (Some(125), told));
            short += 1;
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
            let (reader, writer) = full_pipe(wait);
            let mut child = get(place).stdout(writer).spawn().unwrap();
            eventually("it sleeps", || state(child.id()) == Some('S'));
            // It may have slept before the backend had answered. Nothing shows that it writes.
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
