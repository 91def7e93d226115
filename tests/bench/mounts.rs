//! Mounted files and the kernel keyring: a hit of each against one of the environment.

use std::process::Command;

use crate::Bench;
use crate::support::{Home, find};

pub fn run(bench: &Bench) {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret");
    home.write("mnt/prod_api-key", "s3cret");
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", directory);
    let get = |backend: &str, name: &str| {
        let mut command = home.command(&bench.program);
        command.args(["get", "--backend", backend, name]);
        command
    };
    let env = || get("env", "prod/api-key");
    let credentials = || get("credentials", "prod/api-key");
    bench.ratio("credentials get / env get", 1.1, credentials, env);
    if !bench.wants("keyring get / env get") {
        return;
    }
    let Some(keyctl) = find("keyctl") else {
        return;
    };
    // A name of its own, since the keyring of the user is one for all.
    let name = format!("bench/{}", std::process::id());
    let made = Command::new(&keyctl)
        .args(["add", "user", &format!("mxm:{name}"), "s3cret", "@u"])
        .output()
        .unwrap();
    if !made.status.success() {
        return;
    }
    let keyring = || get("keyring", &name);
    bench.ratio("keyring get / env get", 1.1, keyring, env);
    let id = String::from_utf8(made.stdout).unwrap();
    let _ = Command::new(keyctl)
        .args(["unlink", id.trim(), "@u"])
        .status();
}
