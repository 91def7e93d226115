//! The core: the environment backend against the cheapest program there is.

use std::process::Command;

use crate::Bench;
use crate::support::{Home, find};

pub fn run(bench: &Bench) {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret");
    let get = || {
        let mut command = home.command(&bench.program);
        command.args(["get", "--backend", "env", "prod/api-key"]);
        command
    };
    bench.ratio("env get / true", 0.65, get, || home.command("/bin/true"));
    bench.figure("env get, instructions", 75_000, "instructions", || {
        instructions(get())
    });
    bench.figure("the program, bytes", 1 << 20, "bytes", || {
        Some(bench.program.metadata().ok()?.len())
    });
}

/// What callgrind counts.
fn instructions(command: Command) -> Option<u64> {
    let mut valgrind = Command::new(find("valgrind")?);
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program());
    valgrind.args(command.get_args()).env_clear();
    valgrind.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let messages = String::from_utf8(valgrind.output().ok()?.stderr).ok()?;
    messages
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
