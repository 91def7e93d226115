//! The core: the environment backend against the cheapest program there is.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Bench;
use crate::support::store::Store;
use crate::support::{Home, find};

pub fn run(bench: &Bench) {
    let mut home = Home::new();
    home.set("PROD_API_KEY", "s3cret");
    let get_of = |program: &Path| {
        let mut command = home.command(program);
        command.args(["get", "--backend", "env", "prod/api-key"]);
        command
    };
    let get = || get_of(&bench.program);
    bench.ratio("env get / true", 0.65, get, || home.command("/bin/true"));
    for feature in ["age", "vault"] {
        let title = format!("env get / the same built without {feature}");
        if let Some(other) = bench
            .wants(&title)
            .then(|| bench.without(feature))
            .flatten()
        {
            bench.ratio(&title, 1.0, get, || get_of(&other));
        }
    }
    bench.figure("env get, instructions", 75_000, || instructions(get()));
    bench.figure("env get, page faults", 45, || page_faults(get()));
    bench.figure("the program, bytes", 6 << 20, || {
        Some(bench.program.metadata().ok()?.len())
    });
    gopass(bench, "1.15.18");
    gopass(bench, "1.16.1");
}

/// A real store of each gopass: what asking through us costs beside asking gopass itself.
fn gopass(bench: &Bench, version: &str) {
    let Some(store) = Store::new(version) else {
        return;
    };
    store.insert("prod/api-key", "s3cret");
    let get = || {
        let mut command = store.home.command(&bench.program);
        command.args(["get", "prod/api-key"]);
        command
    };
    let bare = || {
        let mut command = store.home.command(store.home.path().join("bin/gopass"));
        command.args(["show", "-n", "prod/api-key"]);
        command
    };
    bench.ratio(
        &format!("gopass {version} get / gopass show -n"),
        1.03,
        get,
        bare,
    );
    bench.figure(
        &format!("gopass {version} get, peak memory of our own, KiB"),
        3000,
        || own_peak(get()),
    );
}

/// The peak of our own resident memory while the child runs, in KiB: looked at again and again until its end.
fn own_peak(mut command: Command) -> Option<u64> {
    use std::io::Read;
    let (mut reader, writer) = std::io::pipe().ok()?;
    let mut child = command.stdout(writer).spawn().ok()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait().ok()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        peak = line.max(peak);
    }
    drop(command);
    reader.read_to_end(&mut Vec::new()).ok()?;
    peak
}

/// How often the kernel had to give the program a page, or map some of its file: read while its end is not waited for.
fn page_faults(mut command: Command) -> Option<u64> {
    let child = command.stdout(Stdio::null()).spawn().ok()?;
    let path = format!("/proc/{}/stat", child.id());
    loop {
        let stat = std::fs::read_to_string(&path).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        if fields.next()? == "Z" {
            return fields.nth(6)?.parse().ok();
        }
    }
}

/// What callgrind counts.
pub fn instructions(command: Command) -> Option<u64> {
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
