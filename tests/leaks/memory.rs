//! The process's own memory once the value has been wiped.

use super::scanner::{Find, Run, run};
use super::{BINARY, NAME, Place};

/// Runs the program in `place` and checks that nothing is left in its memory.
#[track_caller]
fn leaves_nothing(place: &Place, arguments: &[&str], status: i32) -> Option<Run> {
    let canaries = place.canaries();
    let seen = run(place.mxm_secrets(arguments), &canaries, |_| ())?;
    let what = format!(
        "{} {arguments:?}: {}",
        place.backend, seen.transcript.stderr
    );
    assert_eq!(seen.transcript.status, Some(status), "{what}");
    assert_eq!(seen.left(), Vec::<&Find>::new(), "{what}");
    // Only the backend that reads the environment was given it there.
    assert_eq!(seen.before.is_empty(), place.backend != "env", "{what}");
    Some(seen)
}

fn every_path_leaves_nothing(backend: &'static str) {
    let Some(place) = Place::new(backend) else {
        return;
    };
    let Some(seen) = leaves_nothing(&place, &["get", NAME], 0) else {
        return;
    };
    let stdout = String::from_utf8_lossy(&seen.transcript.stdout).into_owned();
    assert!(stdout.contains(&place.canary), "{stdout}");
    let field = format!("{NAME}#user");
    // In the environment a field is a part of the variable's name.
    leaves_nothing(&place, &["get", &field], i32::from(backend == "env"));
    let wrong = format!("{NAME}#nobody");
    leaves_nothing(&place, &["get", &wrong], i32::from(true));
    leaves_nothing(
        &place,
        &["resolve", "--explain", "--all", NAME, &field],
        i32::from(backend == "env"),
    );
    leaves_nothing(
        &place,
        &["exec", "--secret", NAME, "--", "no-such-command"],
        127,
    );
    let file = format!("F={NAME}");
    leaves_nothing(
        &place,
        &[
            "exec",
            "--file",
            &file,
            "--secret",
            NAME,
            "--",
            "no-such-command",
        ],
        127,
    );
    if backend != "env" {
        leaves_nothing(&place, &["exec", "--secret", BINARY, "--", "true"], 125);
    }
    leaves_nothing(&place, &["list-backends"], 0);
}

#[test]
fn env_leaves_nothing_in_memory() {
    every_path_leaves_nothing("env");
}

#[test]
fn gopass_leaves_nothing_in_memory() {
    every_path_leaves_nothing("gopass");
}

#[test]
fn age_leaves_nothing_in_memory() {
    every_path_leaves_nothing("age");
}

#[test]
fn vault_leaves_nothing_in_memory() {
    every_path_leaves_nothing("vault");
}

#[test]
fn credentials_leave_nothing_in_memory() {
    every_path_leaves_nothing("credentials");
}

#[test]
fn the_keyring_leaves_nothing_in_memory() {
    every_path_leaves_nothing("keyring");
}

#[test]
fn a_backend_of_ones_own_leaves_nothing_in_memory() {
    every_path_leaves_nothing("own");
}

/// What is looked for would be found: in an argument, in the environment, or in the variables of a shell.
#[test]
fn the_scanner_finds_what_is_kept() {
    let place = Place::new("own").unwrap();
    let canaries = place.canaries();
    let mut command = place.command("/bin/sh");
    command.args(["-c", &format!("read whole <{NAME}; part=${{whole#???}}")]);
    let Some(seen) = run(command, &canaries, |_| ()) else {
        return;
    };
    assert_eq!((seen.before.len(), seen.transcript.status), (0, Some(0)));
    assert!(
        seen.left()
            .iter()
            .any(|find| place.canary[3..] == find.bytes),
        "{seen:?}"
    );
    let mut command =
        place.mxm_secrets(["get", "--default-ok", "--default", &place.canary, "no/such"]);
    command.env("ALSO", &place.canary);
    let seen = run(command, &canaries, |_| ()).unwrap();
    assert_eq!(seen.transcript.status, Some(0));
    assert_eq!(seen.before.len(), 2, "{seen:?}");
    assert_eq!(seen.left(), Vec::<&Find>::new());
}
