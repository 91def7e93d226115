//! What holds for every value, tried with some that no one would think of.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::support::Home;
use crate::support::transcript;

/// Tries `law` on `cases` values of `strategy`; nothing is kept in files.
fn law<S: Strategy>(cases: u32, strategy: S, law: impl Fn(S::Value) -> TestCaseResult) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    if let Err(broken) = runner.run(&strategy, law) {
        panic!("{broken}");
    }
}

/// Bytes without NUL, at least one: what a variable can hold.
fn values() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1_u8.., 1..300)
}

/// Any bytes, at least one.
#[cfg(feature = "credentials")]
fn contents() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..300)
}

#[test]
fn a_variable_comes_out_byte_for_byte() {
    let home = Home::new();
    law(32, values(), |value| {
        let mut command = home.mxm_secrets(["get", "--raw", "--backend", "env", "a"]);
        let seen = transcript(command.env("A", OsStr::from_bytes(&value)));
        prop_assert_eq!((seen.status, seen.stdout), (Some(0), value));
        Ok(())
    });
}

#[test]
#[cfg(feature = "credentials")]
fn a_mounted_file_comes_out_byte_for_byte() {
    let mut home = Home::new();
    let directory = home.path().join("mnt");
    home.set("CREDENTIALS_DIRECTORY", directory);
    law(32, contents(), |value| {
        home.write("mnt/a", &value);
        let seen = home.run(["get", "--raw", "--backend", "credentials", "a"]);
        prop_assert_eq!((seen.status, seen.stdout), (Some(0), value));
        Ok(())
    });
}

/// Of several names, the worst status counts, in whatever order they stand: 4, then 1, then 0.
#[test]
fn the_worst_of_several_counts_in_any_order() {
    let mut home = Home::new();
    home.fake(
        "gopass",
        "case $4 in found*) echo v;; failed*) exit 9;;\n\
         *) echo 'Error: entry is not in the password store' >&2; exit 11;; esac",
    );
    home.set("MXM_SECRETS_BACKENDS", "gopass");
    let kinds = proptest::sample::select(vec![("found", 0), ("missing", 1), ("failed", 4)]);
    law(16, proptest::collection::vec(kinds, 1..5), |kinds| {
        let name = |(number, (kind, _)): (usize, &(&str, i32))| format!("{kind}{number}");
        let names: Vec<String> = kinds.iter().enumerate().map(name).collect();
        let worst = kinds.iter().map(|(_, status)| *status).max();
        let arguments = std::iter::once("resolve").chain(names.iter().map(String::as_str));
        prop_assert_eq!(home.run(arguments).status, worst);
        Ok(())
    });
}

/// A text is in effect as it was written, however it must be quoted.
#[test]
#[cfg(feature = "config")]
fn a_configured_text_is_in_effect_as_it_was_written() {
    let mut home = Home::new();
    let path = home.path().join("config.yaml");
    home.set("MXM_SECRETS_CONFIG", path);
    law(32, "[^\\p{C}\\p{Zl}\\p{Zp}\\p{DI}'$]{1,20}", |text| {
        home.write(
            "config.yaml",
            format!("mxm_secrets:\n  env:\n    prefix: '{text}'\n"),
        );
        let seen = home.run(["list-backends", "--backend", "env"]);
        let shown = format!("${text}NAME");
        let output = String::from_utf8(seen.stdout).unwrap();
        prop_assert!(
            output.contains(&shown),
            "{shown:?} {output} {}",
            seen.stderr
        );
        Ok(())
    });
}
