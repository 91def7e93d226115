//! What other systems than Linux do not have: each part says so. `make portable` runs this on Linux, with those parts
//! switched off.

use crate::support::Home;

const NO_KEYRINGS: &str = "unavailable on this system: kernel keyrings are a part of Linux";

#[test]
fn the_keyring_is_unavailable() {
    let mut home = Home::new();
    home.run(["get", "--backend", "keyring", "a"])
        .has(4, "", &[NO_KEYRINGS]);
    home.set("A", "from the environment");
    home.set("MXM_SECRETS_BACKENDS", "keyring,env");
    let listed = home.run(["list-backends", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(NO_KEYRINGS), "{listed}");
}

#[test]
fn a_secret_does_not_become_a_file() {
    let mut home = Home::new();
    home.set("A", "s3cret");
    home.link(&["true"]);
    let exec = ["exec", "--backend", "env", "--file", "F=a", "--", "true"];
    home.run(exec).has(
        125,
        "",
        &["unavailable on this system: it has no files in memory"],
    );
}

#[test]
fn nobody_asks_for_a_credential() {
    let said = "mxm-secrets: credential: unavailable on this system: it has no systemd\n";
    Home::new().run(["credential"]).is(2, "", said);
}
