//! The README is true: its examples are run as they stand.

use crate::support::{Home, Transcript, program_under_test, transcript};

/// The code block under a heading of the README.
pub fn block(heading: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once(&format!("## {heading}\n")).unwrap();
    let (_, block) = section.split_once("```").unwrap();
    let (_, block) = block.split_once('\n').unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Runs a script with the program under test on its PATH.
fn shell(home: &Home, script: &str) -> Transcript {
    if !home.path().join("bin/mxm-secrets").exists() {
        home.install("mxm-secrets", program_under_test());
    }
    transcript(home.command("/bin/sh").args(["-c", script]))
}

#[test]
fn the_shell_example_works() {
    let script = block("In a shell") + "echo \"$key $region\"";
    let mut home = Home::new();
    shell(&home, &script).has(1, "", &["prod/api-key: missing"]);
    home.set("PROD_API_KEY", "k");
    shell(&home, &script).is(0, "k eu\n", "");
    home.set("PROD_REGION", "us");
    shell(&home, &script).is(0, "k us\n", "");
}

#[test]
fn the_ci_example_works() {
    let mut home = Home::new();
    home.set("CI_SECRET_API_KEY", "k");
    home.fake("integration-test", "echo \"$PROD_API_KEY\"");
    let script = block("In CI").replace("./integration-test", "integration-test");
    shell(&home, &script).is(0, "k\n", "");
}

#[test]
fn the_cron_example_works() {
    let home = Home::new();
    home.fake("report", "echo \"$PROD_API_KEY\"");
    let table = block("In cron");
    let command = table
        .lines()
        .last()
        .unwrap()
        .split_once("mxm-secrets ")
        .unwrap()
        .1;
    let command = format!(
        "PROD_API_KEY=k mxm-secrets {}",
        command.replace("/home/trader/bin/", "")
    );
    shell(&home, &command).is(0, "k\n", "");
    shell(&home, &command.replace("PROD_API_KEY=k", "")).has(125, "", &["prod/api-key: missing: "]);
}

/// It is read from top to bottom, on half a screen.
#[test]
fn it_is_short() {
    let readme = include_str!("../README.md");
    let lines = readme.lines().count();
    assert!(lines <= 300, "{lines} lines");
    for line in readme.lines() {
        assert!(line.chars().count() <= 110, "{line}");
    }
}

/// What SECURITY.md names of the tests is there.
#[test]
fn the_tests_that_are_named_exist() {
    let security = include_str!("../SECURITY.md");
    let named: Vec<&str> = security
        .split('`')
        .filter(|text| text.starts_with("tests/") && text.ends_with(".rs"))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for file in named {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(path.exists(), "{file}");
    }
}
