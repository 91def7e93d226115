//! The process's own memory once the value has been wiped.

use std::io::Write;
use std::process::{Command, Stdio};

use super::calls::is_usage;
use super::scanner::{Find, Run, run};
use crate::support::place::{BINARY, NAME, Place};
use crate::support::program_under_test;
use crate::support::vault::{Scripted, answer, kv};

/// Runs the program in `place` and checks that nothing is left in its memory.
#[track_caller]
fn leaves_nothing(place: &Place, arguments: &[&str], status: i32) -> Option<Run> {
    let encoded = base64(&place.canary);
    let mut canaries = place.canaries();
    canaries.push(encoded.as_bytes());
    let seen = run(place.mxm_secrets(arguments), &canaries, |_| ())?;
    let what = format!(
        "{} {arguments:?}: {}",
        place.backend, seen.transcript.stderr
    );
    assert_eq!(seen.transcript.status, Some(status), "{what}");
    assert_eq!(seen.left(), Vec::<&Find>::new(), "{what}");
    // The value that is asked for, and nothing else.
    if arguments[0] == "get" && arguments.last() != Some(&"-h") && status == 0 {
        let told = String::from_utf8_lossy(&seen.transcript.stdout);
        let json = arguments.contains(&"--json");
        assert!(
            told.contains(if json { &encoded } else { &place.canary }),
            "{what}"
        );
        assert!(!seen.transcript.stderr.contains(&place.canary), "{what}");
        let credential = place.credential.as_ref();
        assert!(
            !credential.is_some_and(|text| told.contains(text)),
            "{what}"
        );
    } else {
        seen.tells_nothing(&canaries);
    }
    // Only the backend that reads the environment was given it there.
    assert_eq!(seen.before.is_empty(), place.backend != "env", "{what}");
    Some(seen)
}

/// What base64 makes of the beginning of a text, as far as it does not depend on what follows.
fn base64(text: &str) -> String {
    let mut child = Command::new("base64");
    let child = child
        .arg("-w0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let whole = &text.as_bytes()[..text.len() / 3 * 3];
    child.stdin.take().unwrap().write_all(whole).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn every_path_leaves_nothing(place: Option<Place>) {
    let Some(place) = place else {
        return;
    };
    let backend = place.backend;
    if leaves_nothing(&place, &["get", NAME], 0).is_none() {
        return;
    }
    leaves_nothing(&place, &["get", "--json", NAME], 0);
    let value =
        format!("V={{{{{NAME}|base64}}}}{{{{{NAME}|sh}}}}{{{{{NAME}|json}}}}{{{{{NAME}|url}}}}");
    let exec = [
        "exec",
        "--value",
        &value,
        "--stdin",
        NAME,
        "--",
        "no-such-command",
    ];
    leaves_nothing(&place, &exec, 127);
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
    for arguments in [
        &["list-backends"][..],
        &["list-backends", "--json"],
        &["config"],
        &["config", "--json"],
        &["config", "--check"],
        &["--help"],
        &["get", "-h"],
        &["--version"],
        &["get"],
        &["get", "--no-such-option"],
        &["get", "../x"],
        &["get", "--backend", "no-such-backend", NAME],
        &["no-such-command"],
    ] {
        let status = if is_usage(backend, arguments) { 2 } else { 0 };
        leaves_nothing(&place, arguments, status);
    }
}

#[test]
fn env_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("env"));
}

#[test]
fn gopass_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("gopass"));
}

#[test]
fn age_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("age"));
}

#[test]
fn vault_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("vault"));
}

#[test]
fn credentials_leave_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("credentials"));
}

#[test]
fn the_keyring_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("keyring"));
}

#[test]
fn a_backend_of_ones_own_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::new("own"));
}

#[test]
fn a_login_by_approle_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::login("approle"));
}

#[test]
fn a_login_by_jwt_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::login("jwt"));
}

#[test]
fn a_login_by_a_workflow_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::workflow());
}

#[test]
fn a_plugin_of_age_leaves_nothing_in_memory() {
    every_path_leaves_nothing(Place::plugin());
}

/// The token that a login gives is as little to be left behind as what it was got with, and it goes to nobody.
#[test]
fn the_token_of_a_login_is_left_nowhere() {
    let (place, other) = (Place::new("own").unwrap(), Place::new("own").unwrap());
    let (token, secret_id) = (place.canary.clone(), other.canary.clone());
    let canaries = [token.as_bytes(), secret_id.as_bytes()];
    for (status, found) in [(0, "{\"value\":\"v\"}"), (4, "[]")] {
        let given = token.clone();
        let server = Scripted::start(move |request, stream| {
            let auth =
                format!("{{\"auth\":{{\"client_token\":\"{given}\",\"token_type\":\"service\"}}}}");
            let answer = match request.split(' ').nth(1).unwrap_or_default() {
                "/v1/auth/approle/login" => answer(200, &auth),
                "/v1/auth/token/revoke-self" => answer(204, ""),
                _ => kv(found),
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        let mut home = server.home();
        let file = home.write_key("secret_id", &secret_id);
        home.set("MXM_SECRETS_VAULT_AUTH_METHOD", "approle")
            .set("MXM_SECRETS_VAULT_ROLE_ID", "r")
            .set("MXM_SECRETS_VAULT_SECRET_ID_FILE", file);
        let mut command = home.command(program_under_test());
        command.args(["get", "-v", NAME]).env_remove("VAULT_TOKEN");
        let Some(seen) = run(command, &canaries, |_| ()) else {
            return;
        };
        assert_eq!(seen.transcript.status, Some(status), "{seen:?}");
        assert_eq!(seen.left(), Vec::<&Find>::new(), "{seen:?}");
        seen.tells_nothing(&canaries);
        let revoked = |request: &String| request.starts_with("POST /v1/auth/token/revoke-self ");
        assert!(server.requests().iter().any(revoked));
    }
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

/// Backends that fail in every way with the secret in their hands, and on standard error.
#[test]
fn a_backend_that_fails_leaves_nothing_in_memory() {
    for (ending, status) in [
        ("exit 4", 4),
        ("exit 1", 4),
        ("exit 99", 4),
        ("kill -9 $$", 4),
        ("kill -SEGV $$", 4),
        // More than is read of it.
        ("exec cat big", 4),
        ("exec cat big >&2", 0),
        ("exec cat long", 0),
    ] {
        let place = Place::faulty(&format!("cat {NAME}; cat {NAME} >&2; {ending}"));
        let lines = |count: usize| format!("{}\n", place.canary).repeat(count);
        place.home().write("big", lines((16 << 20) / 64));
        place.home().write("long", lines(3000));
        let exec = ["exec", "-v", "--secret", NAME, "--", "no-such-command"];
        let exec_status = if ending.ends_with("2") { 127 } else { 125 };
        if leaves_nothing(&place, &["get", "-v", NAME], status).is_none() {
            return;
        }
        let explain = ["resolve", "-v", "--explain", "--all", NAME];
        leaves_nothing(&place, &explain, status);
        leaves_nothing(&place, &["resolve", "--json", NAME], status);
        leaves_nothing(&place, &exec, exec_status);
    }
}

/// Servers that fail with the secret in their hands. It is our token, too: what else a server says in its `errors` is
/// meant for the user's eyes, and shown.
#[test]
fn a_server_that_fails_leaves_nothing_in_memory() {
    let place = Place::new("own").unwrap();
    let canary = &place.canary;
    let errors = format!("{{\"errors\":[\"{canary}\"]}}");
    let fields = format!("{{\"value\":\"{canary}\"}}");
    for response in [
        answer(400, &errors),
        answer(403, &errors),
        answer(404, &errors),
        answer(500, &errors),
        answer(503, canary),
        answer(200, canary),
        answer(200, &errors),
        // Cut short.
        kv(&fields).trim_end_matches('}').to_owned(),
        format!("HTTP/1.1 200 X\r\nX-Canary: {canary}\r\nContent-Length: x\r\n\r\n{canary}"),
        format!("HTTP/1.1 {canary} X\r\n\r\n"),
        canary.clone(),
        // Members that are not text, and not the one that is asked for.
        kv(&format!("{{\"a\":\"{canary}\",\"b\":{{\"{canary}\":1}}}}")),
    ] {
        let server = Scripted::answering(&response);
        let home = server.home();
        home.write_key(".vault-token", canary);
        for arguments in [
            &["get", "-v", NAME][..],
            &["resolve", "-v", "--explain", "--all", NAME],
            &["exec", "-v", "--secret", NAME, "--", "true"],
        ] {
            let canaries = place.canaries();
            let mut command = home.command(program_under_test());
            command.args(arguments).env_remove("VAULT_TOKEN");
            let Some(seen) = run(command, &canaries, |_| ()) else {
                return;
            };
            assert!(
                matches!(seen.transcript.status, Some(1 | 4 | 125)),
                "{response}: {seen:?}"
            );
            assert_eq!(
                seen.left(),
                Vec::<&Find>::new(),
                "{response}: {arguments:?}"
            );
            seen.tells_nothing(&canaries);
        }
    }
}
