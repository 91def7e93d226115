//! The library, as a program of someone else uses it.

use std::os::unix::process::ExitStatusExt;

use mxm_secrets::{Error, OnError, Options, get_secret};

use crate::support::Home;

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
    home.fake(
        "gopass",
        "case $4 in found) printf value;; *) exit 9;; esac",
    );
    assert_eq!(options(&home).get("found").unwrap().expose(), b"value");
    // Nothing of ours has a store in the home of this process.
    let missing = options(&home).backends(["env"]).get("none").unwrap_err();
    assert!(matches!(missing, Error::Missing(_)));
    assert_eq!(missing.to_string(), "none is missing: not in env");
    let failed = options(&home).default_value("d").get("locked").unwrap_err();
    assert!(matches!(failed, Error::Failed(_)));
    assert!(failed.to_string().contains("gopass failed"), "{failed}");
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

#[test]
#[ignore = "the program that the next test starts"]
fn a_program_that_looks_up_and_gets_a_signal() {
    let home = Home::new();
    home.fake("gopass", "printf value");
    for _ in 0..2 {
        let secret = options(&home).get("found").unwrap();
        assert_eq!(secret.expose(), b"value");
    }
    // SAFETY: plain numbers.
    unsafe { libc::raise(libc::SIGTERM) };
}

#[test]
fn a_lookup_leaves_signals_as_they_were() {
    let program = std::env::current_exe().unwrap();
    let test = "library::a_program_that_looks_up_and_gets_a_signal";
    let status = std::process::Command::new(program)
        .args(["--ignored", "--exact", test])
        .stdout(std::process::Stdio::null())
        .status();
    assert_eq!(status.unwrap().signal(), Some(libc::SIGTERM));
}
