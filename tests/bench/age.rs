//! The age backend against age and rage, which decrypt the same file.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::Bench;
use crate::support::{Home, program};

/// So many secrets in one exec cost at most 15 times as much as one.
const MANY: usize = 100;

pub fn run(bench: &Bench) {
    let titles = [
        "age get / age -d",
        "age get / rage -d",
        "age exec, 100 / 1",
        "age resolve --from, 100 / exec, 100",
    ];
    if !titles.iter().any(|title| bench.wants(title)) {
        return;
    }
    let (Some(age), Some(rage), Some(keygen)) =
        (program("age"), program("rage"), program("age-keygen"))
    else {
        return;
    };
    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", "age");
    let identity = home.command(keygen).output().unwrap().stdout;
    let identities = home.write(".passage/identities", identity);
    fs::set_permissions(&identities, fs::Permissions::from_mode(0o600)).unwrap();
    let plain = home.write("plain", "s3cret");
    let mut arguments = vec!["exec".to_owned()];
    for n in 0..MANY {
        let file = home.write(&format!(".passage/store/s{n}.age"), "");
        let made = home
            .command(&age)
            .args(["-e", "-i"])
            .arg(&identities)
            .stdin(File::open(&plain).unwrap())
            .stdout(File::create(file).unwrap())
            .stderr(Stdio::inherit())
            .status();
        assert!(made.unwrap().success());
        arguments.push(format!("--secret=s{n}"));
    }
    arguments.extend(["--", "/bin/true"].map(str::to_owned));

    let get = || {
        let mut command = home.command(&bench.program);
        command.args(["get", "s0"]);
        command
    };
    let decrypt = |program| {
        let mut command: Command = home.command(program);
        command.arg("-d").arg("-i").arg(&identities);
        command.arg(home.path().join(".passage/store/s0.age"));
        command
    };
    bench.ratio(titles[0], 0.2, get, || decrypt(&age));
    bench.ratio(titles[1], 0.35, get, || decrypt(&rage));
    let exec = |arguments: &[String]| {
        let mut command = home.command(&bench.program);
        command.args(arguments);
        command
    };
    let one = ["exec", "--secret=s0", "--", "/bin/true"].map(str::to_owned);
    bench.ratio(titles[2], 15.0, || exec(&arguments), || exec(&one));
    #[cfg(feature = "config")]
    {
        let entries = (0..MANY).map(|n| format!("  V{n}: s{n}\n"));
        home.write(
            "secrets.yaml",
            format!("secrets:\n{}", entries.collect::<String>()),
        );
        let resolve = ["resolve", "--from", "secrets.yaml"].map(str::to_owned);
        bench.ratio(titles[3], 1.1, || exec(&resolve), || exec(&arguments));
    }
}
