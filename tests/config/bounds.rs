//! The worst that a configuration may be: it ends in time, and takes little memory.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::Home;
use crate::support::bounds::in_time;

const STORE: &str = "mxm-config-store/apps/mxm-secrets";

#[test]
fn interpolations_do_not_copy_without_measure() {
    let mut home = Home::new();
    // Five thousand keys that lead to a mapping of five thousand, and a layer that is put over each.
    let (mut default, mut layer) = ("big: {".to_owned(), "prod: {".to_owned());
    for number in 0..5000 {
        write!(default, "k{number}: 1, ").unwrap();
    }
    default.push_str("}\n");
    for number in 0..5000 {
        writeln!(default, "c{number}: ${{big}}").unwrap();
        write!(layer, "c{number}: {{x: 1}}, ").unwrap();
    }
    layer.push_str("}\n");
    home.write(&format!("{STORE}/default.yaml"), default);
    home.write(&format!("{STORE}/environment.yaml"), layer);
    home.set("MXM_ENVIRONMENT", "prod");
    let seen = in_time("YAML: copies", 2.0, || {
        home.mxm_secrets(["get", "a", "--timeout", "2"])
    });
    assert_eq!(seen.status, Some(2), "{}", seen.stderr);
}

#[test]
fn dead_interpolations_are_not_looked_up() {
    let mut home = Home::new();
    let (mut default, mut layer) = (
        "mxm_secrets: {backends: [env]}\n".to_owned(),
        "prod: {".to_owned(),
    );
    for number in 0..9000 {
        writeln!(default, "key_number_{number}: ${{key_numbr_{number}}}").unwrap();
        write!(layer, "key_number_{number}: 1, ").unwrap();
    }
    layer.push_str("}\n");
    home.write(&format!("{STORE}/default.yaml"), default);
    home.write(&format!("{STORE}/environment.yaml"), &layer);
    home.set("MXM_ENVIRONMENT", "prod");
    in_time("YAML: dead", 2.0, || {
        home.mxm_secrets(["get", "a", "--timeout", "2"])
    });
    // Those over which a mapping is put are looked up, and that has an end.
    home.write(
        &format!("{STORE}/environment.yaml"),
        layer.replace(": 1,", ": {a: 1},"),
    );
    in_time("YAML: dead and under a mapping", 2.0, || {
        home.mxm_secrets(["get", "a", "--timeout", "2"])
    });
    in_time("YAML: check", 2.0, || {
        home.mxm_secrets(["config", "--check", "--timeout", "2"])
    });
}

#[test]
fn every_worst_file_ends() {
    let home = Home::new();
    let long = "x".repeat(400_000);
    let mut many = String::new();
    for number in 0..60_000 {
        writeln!(many, "- &a{number} x").unwrap();
    }
    let aliases: String = (0..60_000)
        .map(|number| format!("*a{}, ", number % 60_000))
        .collect();
    let backslashes = format!(
        "mxm_secrets: {{env: {{prefix: '{}${{a}}'}}}}\na: 1\n",
        r"\".repeat(500_000)
    );
    for (what, text) in [
        (
            "a text with many aliases",
            format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(100_000)),
        ),
        (
            "many anchors",
            format!("a:\n{many}b: [{}]\n", &aliases[..300_000]),
        ),
        ("deep lists", "[".repeat(1_000_000)),
        ("deep mappings", "{a: ".repeat(250_000)),
        (
            "one long text",
            format!("mxm_secrets: {{env: {{prefix: {long}}}}}\n"),
        ),
        ("one long key", format!("mxm_secrets: {{{long}: 1}}\n")),
        ("backslashes", backslashes),
        (
            "interpolations",
            format!(
                "mxm_secrets: {{env: {{prefix: '{}'}}}}\na: b\n",
                "${a}".repeat(200_000)
            ),
        ),
        (
            "nested interpolations",
            format!(
                "mxm_secrets: {{env: {{prefix: '{}'}}}}\n",
                "${a".repeat(200_000)
            ),
        ),
        (
            "many unknown keys",
            format!(
                "mxm_secrets: {{{}}}\n",
                (0..60_000)
                    .map(|n| format!("k{n}: 1, "))
                    .collect::<String>()
            ),
        ),
        (
            "many chains",
            format!("mxm_secrets: {{backends: [{}]}}\n", "env, ".repeat(150_000)),
        ),
        (
            "merge keys",
            format!(
                "a: &a {{{}}}\nb: {{<<: [{}]}}\n",
                (0..2000).map(|n| format!("k{n}: 1, ")).collect::<String>(),
                "*a, ".repeat(2000)
            ),
        ),
        ("sixteen MiB", "# x\n".repeat(4 << 20)),
        (
            "not UTF-8 in the end",
            format!("{}\u{1}", "é: 1\n".repeat(100_000)),
        ),
    ] {
        let path = home.write("worst.yaml", text);
        for command in [&["get", "a"][..], &["config", "--check"]] {
            in_time(&format!("YAML: {what}, {}", command[0]), 2.0, || {
                let mut command = home.mxm_secrets(command);
                command.args(["--timeout", "2", "--config"]).arg(&path);
                command
            });
        }
    }
    let fifo = home.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    for path in ["/dev/zero", "fifo", "/dev/full", "/proc/self/mem"] {
        in_time(&format!("YAML: {path}"), 1.0, || {
            home.mxm_secrets(["get", "a", "--timeout", "1", "--config", path])
        });
    }
}
