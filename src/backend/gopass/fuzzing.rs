//! What password stores may print, for [`crate::fuzzing`].

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;
use crate::chain::Outcome;
use crate::fuzzing::{CANARY, judge};

pub fn gopass_output(dialect: u8, status: u8, field: bool, stdout: &[u8], stderr: &[u8]) {
    let gopass = Gopass::open(&Section::default());
    let dialect = match dialect % 3 {
        0 => Dialect::Gopass,
        1 => Dialect::Plain,
        _ => Dialect::Pass,
    };
    let Ok(name) = Name::parse(if field { "prod/db#user" } else { "prod/db" }) else {
        return;
    };
    let secret = [stdout, CANARY.as_bytes()].concat();
    let output = Output {
        status: ExitStatus::from_raw(i32::from(status) << 8),
        stdout: Secret::copy_of(if status == 0 { stdout } else { &secret }),
        stderr: Secret::copy_of(&[stderr, CANARY.as_bytes()].concat()),
    };
    if !output.status.success() {
        let lookup = judge(gopass.refusal(dialect, &name, "prod/db", &output), &name);
        assert!(!matches!(lookup.outcome, Outcome::Found(_)));
        return;
    }
    let tree = looks_like_tree(&output.stdout);
    assert!(!tree || stdout.contains(&b'\n'));
    let lookup = judge(gopass.found(&name, "prod/db", output.stdout), &name);
    match lookup.outcome {
        Outcome::Found(secret) if !field => assert_eq!(secret.expose(), stdout),
        Outcome::Found(secret) => assert!(secret.len() <= stdout.len()),
        Outcome::Missing => assert!(field || stdout.is_empty() || stdout == b"\n"),
        Outcome::Defaulted(_) | Outcome::Failed => panic!("it could tell"),
    }
}
