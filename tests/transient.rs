//! Whether another try may do, and the system's error behind a failure.

use std::error::Error as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use mxm_secrets::{Error, Options, Reason};

use crate::support::vault::{Scripted, answer, free_port};
use crate::support::{Home, emulated, program_under_test, transcript};

/// What the JSON of a failed lookup says, that of the problem too.
fn is_transient(mut command: Command) -> bool {
    let seen = transcript(command.args(["--json", "a"]));
    let stdout = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(seen.status, Some(4), "{stdout}{}", seen.stderr);
    let says =
        |transient: bool| stdout.contains(&format!(",\"transient\":{transient},\"seconds\""));
    assert_ne!(says(true), says(false), "{stdout}");
    says(true)
}

fn get(home: &Home, backend: &str) -> Command {
    home.mxm_secrets(["get", "--timeout", "2", "--backend", backend])
}

/// A home with an age store whose file `a` is this.
fn age(file: &[u8]) -> Home {
    let home = Home::new();
    home.write(".passage/store/a.age", file);
    home.write_key(".passage/identities", "");
    home
}

#[test]
fn too_slow_a_program_may_do_another_time_and_one_that_fails_will_not() {
    let home = Home::new();
    home.link(&["sleep"]);
    home.program("gopass", "#!/bin/sh\nexit 9\n");
    assert!(!is_transient(get(&home, "gopass")));
    home.program("gopass", "#!/bin/sh\nexec sleep 10\n");
    assert!(is_transient(get(&home, "gopass")));
    let exec = [
        "exec",
        "--json-errors",
        "--timeout",
        "1",
        "--backend",
        "gopass",
    ];
    let seen = home.run([&exec[..], &["--secret", "a", "--", "true"]].concat());
    assert!(
        seen.stderr
            .ends_with(",\"hint\":null,\"transient\":true}\n"),
        "{}",
        seen.stderr
    );
}

#[test]
fn a_server_that_is_away_or_busy_may_do_another_time() {
    for (status, body, transient) in [
        (503, r#"{"errors":["Vault is sealed"]}"#, true),
        (429, r#"{"errors":["quota"]}"#, true),
        (502, "<html>", true),
        (403, r#"{"errors":["permission denied"]}"#, false),
        (501, r#"{"errors":[]}"#, false),
        (400, r#"{"errors":["no"]}"#, false),
    ] {
        let server = Scripted::answering(answer(status, body));
        assert_eq!(
            is_transient(get(&server.home(), "vault")),
            transient,
            "{status}"
        );
    }
    let mut home = Scripted::answering("").home();
    assert!(is_transient(get(&home, "vault")), "closed");
    home.set("VAULT_ADDR", format!("http://127.0.0.1:{}", free_port()));
    assert!(is_transient(get(&home, "vault")), "no connection");
    let server = Scripted::start(|_, _| std::thread::sleep(std::time::Duration::from_secs(5)));
    assert!(is_transient(get(&server.home(), "vault")), "too slow");
}

/// An agent's socket may be there in a moment; a path that can never lead to one will not.
#[test]
fn an_address_that_cannot_be_right_stays_so() {
    let mut home = Scripted::answering("").home();
    home.write("file", "");
    symlink("loop", home.path().join("loop")).unwrap();
    let datagrams = UnixDatagram::bind(home.path().join("datagrams")).unwrap();
    let long = "x".repeat(200);
    for (path, transient) in [
        ("none", true),
        ("none/below", true),
        ("file", true),
        ("file/below", false),
        ("loop", false),
        ("datagrams", false),
        (&long, false),
    ] {
        let address = format!("unix://{}", home.path().join(path).display());
        home.set("VAULT_ADDR", address);
        assert_eq!(is_transient(get(&home, "vault")), transient, "{path}");
    }
    drop(datagrams);
}

#[test]
fn a_damaged_file_stays_so_and_files_may_be_short_for_now() {
    let home = age(b"age-encryption.org/v1\n");
    assert!(!is_transient(get(&home, "age")));
    if emulated("it is started by another program") {
        return;
    }
    // The pipes of a program do not fit into so few.
    home.program("gopass", "#!/bin/sh\nexit 9\n");
    let script = "ulimit -n 5; exec \"$0\" \"$@\"";
    let mut command = home.command("/bin/sh");
    command.args(["-c", script]).arg(program_under_test());
    command.args(["get", "--backend", "gopass"]);
    assert!(is_transient(command));
}

/// Why the library cannot read `a` of the age store of `home`.
fn reason(home: &Home) -> Reason {
    let store = home.path().join(".passage");
    let configuration = home.write(
        "config.yaml",
        format!(
            "mxm_secrets: {{age: {{store: {0}/store, identities: {0}/identities}}}}\n",
            store.display()
        ),
    );
    let options = Options::new().config_file(configuration).backends(["age"]);
    match options.no_input(true).get("a") {
        Err(Error::Failed(report)) => report.problems().remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_source_is_the_systems_error_and_no_other() {
    let home = age(b"age-encryption.org/v1\n");
    assert!(reason(&home).source().is_none());
    // A loop bars the way to root, too.
    let file = home.path().join(".passage/store/a.age");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("a.age", &file).unwrap();
    let barred = reason(&home);
    let source = barred.source().unwrap().to_string();
    let system = io::Error::from_raw_os_error(libc::ELOOP);
    assert_eq!(source, system.to_string());
    assert!(!barred.transient);
    assert_eq!(barred.text.matches(&source).count(), 1, "{barred}");
}
