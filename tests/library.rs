//! The library, as a program of someone else uses it.

use std::os::unix::process::ExitStatusExt;

use mxm_secrets::{Error, OnError, Options, get_secret};

use crate::support::Home;

/// Makes a gopass of `script`. A script may read any store, so this process needs none in its home.
fn gopass(home: &Home, script: &str) {
    home.program("gopass", &format!("#!/bin/sh\n{script}\n"));
}

/// Options that neither the person nor the machine has a say in, with a gopass that answers what `home` makes of it.
fn options(home: &Home) -> Options {
    let gopass = home.path().join("bin/gopass");
    let configuration = home.write(
        "config.yaml",
        format!(
            "mxm_secrets:\n  gopass:\n    command: {}\n",
            gopass.display()
        ),
    );
    Options::new()
        .backends(["gopass"])
        .no_input(true)
        .config_file(configuration)
}

#[test]
fn a_secret_its_absence_a_failure_and_a_mistake_are_told_apart() {
    let home = Home::new();
    gopass(&home, "case $4 in found) printf value;; *) exit 9;; esac");
    assert_eq!(options(&home).get("found").unwrap().expose(), b"value");
    // Nothing of ours has a store in the home of this process.
    let missing = options(&home).backends(["env"]).get("none").unwrap_err();
    assert!(matches!(missing, Error::Missing(_)));
    assert_eq!(missing.to_string(), "none: missing: not in env ($NONE)");
    let failed = options(&home).default_value("d").get("locked").unwrap_err();
    assert!(matches!(failed, Error::Failed(_)));
    assert!(
        failed.to_string().starts_with("locked: failed: gopass: "),
        "{failed}"
    );
    for (backend, on_error) in [("env", OnError::Stop), ("gopass", OnError::Continue)] {
        let options = options(&home).backends([backend]).on_error(on_error);
        assert_eq!(
            options.default_value("d").get("none").unwrap().expose(),
            b"d"
        );
    }
    let wrong = options(&home).backends(["gopas"]).get("a").unwrap_err();
    assert!(matches!(wrong, Error::Usage(_)));
    assert!(wrong.to_string().contains("gopass"), "{wrong}");
}

#[test]
fn a_bad_name_is_a_mistake() {
    let error = get_secret("../a").unwrap_err();
    assert!(matches!(error, Error::Usage(_)));
    assert!(error.to_string().starts_with("bad name"), "{error}");
    let home = Home::new();
    assert!(options(&home).get("a#").is_err());
}

/// Starts the ignored test of that name as a program of its own: what it does to signals concerns all of a process.
fn program(test: &str) -> std::process::ExitStatus {
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args([
        "--ignored",
        "--exact",
        "--nocapture",
        &format!("library::{test}"),
    ]);
    program
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn action(signal: i32) -> (usize, i32) {
    // SAFETY: all zeros is a valid structure, and sigaction writes to a live one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(
            libc::sigaction(signal, std::ptr::null(), &raw mut action),
            0
        );
        // SA_RESTORER, which glibc adds to whatever it is given.
        (action.sa_sigaction, action.sa_flags & !0x0400_0000)
    }
}

extern "C" fn handler(_: i32) {}

fn handle(signal: i32, handler: usize, flags: i32) {
    // SAFETY: the structure is valid, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

fn fork() -> i32 {
    // SAFETY: the child calls nothing that another thread may have been in the middle of.
    unsafe { libc::fork() }
}

fn wait_for(child: i32) -> std::process::ExitStatus {
    let mut status = 0;
    // SAFETY: the number is written to a live place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    std::process::ExitStatus::from_raw(status)
}

fn send(process: i32, signal: i32) {
    // SAFETY: plain numbers.
    unsafe { libc::kill(process, signal) };
}

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_with_handlers_of_its_own() {
    let home = Home::new();
    gopass(&home, "printf value");
    let own = handler as extern "C" fn(i32) as usize;
    handle(libc::SIGTERM, own, libc::SA_RESTART);
    handle(libc::SIGHUP, libc::SIG_IGN, 0);
    let signals: Vec<i32> = (1..32).collect();
    for (handler, flags) in [
        (own, libc::SA_NOCLDSTOP | libc::SA_RESTART),
        (own, libc::SA_NOCLDWAIT),
        (libc::SIG_IGN, 0),
        (libc::SIG_DFL, 0),
    ] {
        handle(libc::SIGCHLD, handler, flags);
        let before: Vec<_> = signals.iter().map(|signal| action(*signal)).collect();
        for _ in 0..2 {
            assert_eq!(options(&home).get("found").unwrap().expose(), b"value");
            let after: Vec<_> = signals.iter().map(|signal| action(*signal)).collect();
            assert_eq!(before, after);
        }
    }
}

#[test]
fn a_lookup_leaves_handlers_as_they_were() {
    assert!(program("a_program_with_handlers_of_its_own").success());
}

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_that_ignores_its_children() {
    let home = Home::new();
    gopass(&home, "printf value");
    handle(libc::SIGCHLD, libc::SIG_IGN, 0);
    let file = options(&home);
    drop(file);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..30 {
                    let options = Options::new().backends(["gopass"]).no_input(true);
                    let options = options.config_file(home.path().join("config.yaml"));
                    assert_eq!(options.get("found").unwrap().expose(), b"value");
                }
            });
        }
    });
    assert_eq!(action(libc::SIGCHLD).0, libc::SIG_IGN);
}

#[test]
fn children_are_heard_of_where_sigchld_is_ignored() {
    assert!(program("a_program_that_ignores_its_children").success());
}

/// A lookup that takes until the file `go` is there, begun in a thread.
fn slow(home: &Home) -> std::thread::JoinHandle<Result<Vec<u8>, String>> {
    home.link(&["sleep"]);
    let script = "case $4 in quick) printf quick; exit;; esac\necho $$ >started\n\
                  while ! [ -e go ]; do sleep 0.02; done\nprintf slow";
    gopass(home, &format!("cd {}\n{script}", home.path().display()));
    let options = options(home);
    let thread = std::thread::spawn(move || {
        let secret = options.get("slow");
        secret
            .map(|secret| secret.expose().to_vec())
            .map_err(|error| error.to_string())
    });
    crate::process::pid(home, "started");
    thread
}

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_that_forks_during_a_lookup() {
    let home = Home::new();
    let lookup = slow(&home);
    // Its child gets a signal, with the handler that it has inherited.
    let child = fork();
    if child == 0 {
        loop {
            // SAFETY: it takes no argument.
            unsafe { libc::pause() };
        }
    }
    send(child, libc::SIGTERM);
    assert_eq!(wait_for(child).signal(), Some(libc::SIGTERM));
    let busy = || {
        // SAFETY: all zeros is a valid structure, and getrusage writes to a live one.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
            let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
            // Their widths differ between systems.
            seconds as i64 * 1_000_000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) as i64
        }
    };
    let before = busy();
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(busy() - before < 200_000, "it spins");
    home.write("go", "");
    assert_eq!(lookup.join().unwrap().unwrap(), b"slow");
    // A child of its own accord looks something up, and then ends by a signal as any program.
    let child = fork();
    if child == 0 {
        let found = options(&home)
            .get("quick")
            .is_ok_and(|secret| secret.expose() == b"quick");
        send(
            std::process::id().cast_signed(),
            if found { libc::SIGUSR1 } else { libc::SIGKILL },
        );
    }
    assert_eq!(wait_for(child).signal(), Some(libc::SIGUSR1));
}

#[test]
fn a_forked_child_disturbs_no_lookup() {
    assert!(program("a_program_that_forks_during_a_lookup").success());
}

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_with_two_lookups_of_which_one_has_ended() {
    let home = Home::new();
    let lookup = slow(&home);
    assert_eq!(options(&home).get("quick").unwrap().expose(), b"quick");
    let child = crate::process::pid(&home, "started");
    let directory = std::env::var_os("MXM_SECRETS_TEST_CHILD").unwrap();
    std::fs::write(directory, format!("{child}\n")).unwrap();
    send(std::process::id().cast_signed(), libc::SIGTERM);
    let _ = lookup.join();
}

#[test]
fn the_first_lookup_that_ends_leaves_the_others_watched() {
    let home = Home::new();
    let file = home.path().join("child");
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    let test = "library::a_program_with_two_lookups_of_which_one_has_ended";
    program
        .args(["--ignored", "--exact", test])
        .env("MXM_SECRETS_TEST_CHILD", &file);
    let status = program
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert!(crate::support::is_gone(crate::process::pid(&home, "child")));
}

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_that_looks_up_and_gets_a_signal() {
    let home = Home::new();
    gopass(&home, "printf value");
    for _ in 0..2 {
        let secret = options(&home).get("found").unwrap();
        assert_eq!(secret.expose(), b"value");
    }
    // SAFETY: plain numbers.
    unsafe { libc::raise(libc::SIGTERM) };
}

#[test]
fn a_lookup_leaves_signals_as_they_were() {
    let status = program("a_program_that_looks_up_and_gets_a_signal");
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}
