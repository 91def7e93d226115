//! exec against env(1), and several secrets side by side against gopass in a row.

use std::process::Command;

use crate::Bench;
use crate::support::Home;
use crate::support::store::Store;

/// How many secrets are looked up at once.
const COUNT: usize = 8;

pub fn run(bench: &Bench) {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret");
    let exec = || {
        let mut command = home.command(&bench.program);
        command.args([
            "exec",
            "--backend",
            "env",
            "--secret",
            "prod/api-key",
            "--",
            "/bin/true",
        ]);
        command
    };
    let env = || {
        let mut command = home.command("/usr/bin/env");
        command.args(["X=1", "/bin/true"]);
        command
    };
    bench.ratio("exec true / env true", 0.9, exec, env);

    #[cfg(feature = "config")]
    sets(bench);

    let title = "exec, 8 gopass secrets / 8 gopass show in a row";
    if !bench.wants(title) {
        return;
    }
    let Some(store) = Store::new("1.16.1") else {
        return;
    };
    let names: Vec<String> = (0..COUNT)
        .map(|number| format!("bench/s{number}"))
        .collect();
    for name in &names {
        store.insert(name, "s3cret");
    }
    let exec = || -> Command {
        let mut command = store.home.command(&bench.program);
        command.args(["exec", "--backend", "gopass"]);
        for name in &names {
            command.args(["--secret", name]);
        }
        command.args(["--", "/bin/true"]);
        command
    };
    let row = || -> Command {
        let mut command = store.home.command("/bin/sh");
        let show: Vec<String> = names
            .iter()
            .map(|name| format!("gopass show -n {name}"))
            .collect();
        command.arg("-c").arg(show.join(" && "));
        command
    };
    bench.ratio(title, 0.75, exec, row);
}

/// A set against the same secrets as options.
#[cfg(feature = "config")]
fn sets(bench: &Bench) {
    let mut home = Home::new();
    let mut options = Vec::new();
    let mut set = "secrets:\n".to_owned();
    for number in 0..20 {
        home.set(&format!("SET_S{number}"), "s3cret");
        options.push(format!("--secret=V{number}=set/s{number}"));
        set += &format!("  V{number}: set/s{number}\n");
    }
    home.write("secrets.yaml", set);
    let exec = |arguments: &[String]| {
        let mut command = home.command(&bench.program);
        command.args(["exec", "--backend", "env"]).args(arguments);
        command.args(["--", "/bin/true"]);
        command
    };
    let from = ["--from=secrets.yaml".to_owned()];
    let title = "exec --from, 20 env secrets / 20 --secret";
    bench.ratio(title, 1.2, || exec(&from), || exec(&options));
}
