//! vault: reading from a real server over HTTPS, against curl and Vault's own program.

use std::process::Command;

use crate::Bench;
use crate::support::program;
use crate::support::vault::{ROOT, Server};

/// How many secrets `exec` reads at once.
const MANY: usize = 100;

pub fn run(bench: &Bench) {
    if !bench.wants("vault") {
        return;
    }
    let (Some(server), Some(vault)) = (Server::shared(), program("vault")) else {
        return;
    };
    for number in 0..MANY {
        server.put(&format!("bench/{number}"), r#"{"value":"s3cret"}"#);
    }
    let home = server.root_home();
    let get = || {
        let mut command = home.command(&bench.program);
        command.args(["get", "bench/0"]);
        command
    };
    let curl = |arguments: &[&str], count: usize| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-H", &format!("X-Vault-Token: {ROOT}"), "--cacert"]);
        command.arg(&server.ca).args(arguments);
        for number in 0..count {
            command.arg(format!("{}/v1/secret/data/bench/{number}", server.address));
        }
        command
    };
    let kv_get = || {
        let mut command = home.command(&vault);
        command.args(["kv", "get", "-field=value", "secret/bench/0"]);
        command
    };
    let exec = || {
        let mut command = home.command(&bench.program);
        command.arg("exec");
        for number in 0..MANY {
            command.args(["--secret", &format!("V{number}=bench/{number}")]);
        }
        command.args(["--", "/bin/true"]);
        command
    };
    bench.ratio("vault: get / curl, one request", 0.5, get, || curl(&[], 1));
    bench.ratio("vault: get / vault kv get", 0.1, get, kv_get);
    // On two cores the server alone takes seven to nine of these milliseconds: 0.14 to 0.18 ms of processor time for
    // each read, however it is asked.
    bench.ratio("vault: exec of 100 / get of one", 4.0, exec, get);
    bench.ratio("vault: exec of 100 / curl -Z of 100", 1.0, exec, || {
        curl(&["-Z", "--parallel-max", "8"], MANY)
    });
}
