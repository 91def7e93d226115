//! What password stores may print, and what their configuration may hold, for [`crate::fuzzing`].

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;
use crate::chain::Outcome;
use crate::fuzzing::{CANARY, context, judge};

pub fn gopass_output(dialect: u8, status: u8, field: bool, stdout: &[u8], stderr: &[u8]) {
    let gopass = Gopass::open(&Section::default());
    let file = |crypto, size| There::File("/prod/db".into(), crypto, size);
    let theres = [
        There::NoStore,
        There::Absent,
        There::Folder,
        file(Crypto::Gpg, 9),
        file(Crypto::Age, 9),
        file(Crypto::Plain, 9),
        file(Crypto::Plain, 0),
    ];
    let there = theres[usize::from(dialect / 3) % theres.len()].clone();
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
    let context = context();
    let (vouched, attached) = (vouched(&output), mime::decode(&output.stdout).is_some());
    let Ok(answer) = gopass.judge(dialect, &name, "prod/db", output, there.clone(), &context)
    else {
        return;
    };
    let lookup = judge(answer, &name);
    match lookup.outcome {
        Outcome::Found(secret) => {
            assert!(status == 0 && there != There::Folder || vouched);
            assert!(secret.len() <= stdout.len());
            assert!(field || attached || secret.expose() == stdout);
        }
        // Nobody has seen that there is none.
        Outcome::Missing => assert!(
            field
                || vouched
                || attached
                || !matches!(there, There::NoStore | There::File(_, Crypto::Gpg, _))
        ),
        Outcome::Failed => {}
        Outcome::Defaulted(_) => panic!("there is no default"),
    }
}
