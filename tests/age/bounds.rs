//! The worst that a reader can be given, 16 MiB of each: it ends by the deadline, and within 100 MB of memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Store, identity};
use crate::support::bounds::in_time;
use crate::support::find;

const MIB: usize = 1 << 20;
const WORST: usize = 16 * MIB;
/// In seconds.
const LIMIT: f64 = 2.0;

/// `piece` again and again, up to [`WORST`].
fn many(piece: &str) -> Vec<u8> {
    piece.bytes().cycle().take(WORST).collect()
}

fn header(body: &[u8]) -> Vec<u8> {
    [b"age-encryption.org/v1\n", body].concat()
}

/// Looks `name` up; it must fail with these words.
#[track_caller]
fn ends(store: &Store, name: &str, what: &str, words: &str) {
    let seen = in_time(&format!("age: {what}"), LIMIT, || {
        let limit = LIMIT.to_string();
        store.home.mxm_secrets(["get", "--timeout", &limit, name])
    });
    assert_eq!(seen.status, Some(4), "{what}: {}", seen.stderr);
    let told = seen.stderr.contains(words) || seen.stderr.contains("in time");
    assert!(told, "{what}: {}", seen.stderr);
    assert!(seen.stderr.len() < 2000, "{what}: {}", seen.stderr.len());
}

#[test]
fn no_age_file_is_read_without_end() {
    let Some(store) = Store::new() else { return };
    const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----\n";
    let line = "A".repeat(64) + "\n";
    let body = |start: &str, piece: &str| header(&[start.as_bytes(), &many(piece)].concat());
    let x25519 = format!("-> X25519 {0}\n{0}\n", "A".repeat(43));
    let ours = [
        x25519.repeat(9000),
        format!("--- {}\n", "A".repeat(43)),
        "0".repeat(64),
    ]
    .concat();
    let armored = |piece: &str| [BEGIN.as_bytes(), &many(piece)].concat();
    for (what, content, words) in [
        ("stanzas", body("", "-> X\n\n"), "header larger than 1 MiB"),
        ("arguments", body("-> a", " a"), "too many arguments"),
        (
            "lines of arguments",
            body("", "-> a a a a a a a a a\n\n"),
            "header larger",
        ),
        ("a long argument", body("-> a", "a"), "header larger"),
        ("a long body", body("-> a\n", &line), "header larger"),
        ("recipients", header(ours.as_bytes()), ""),
        (
            "a long version",
            many("age-encryption.org/"),
            "unknown version",
        ),
        ("a long line of an armor", armored("A"), "damaged armor"),
        ("an armor", armored(&line), "damaged armor"),
        ("blank lines", many(" \n"), "not an age file"),
        ("blank lines of an armor", armored("\n"), "damaged armor"),
        ("beginnings of an armor", many(BEGIN), "damaged armor"),
        ("text", many("text\n"), "not an age file"),
        ("NUL", vec![0; WORST], "not an age file"),
    ] {
        fs::write(store.file("worst"), content).unwrap();
        ends(&store, "worst", what, words);
    }
    // One recipient of thousands is us: the last one.
    let (_, other) = identity(&find("age-keygen").unwrap());
    let mut arguments = ["-r", &other].repeat(300);
    arguments.extend(["-r", &store.recipient]);
    store.encrypt("team", &arguments, "s3cret");
    store.home.run(["get", "team"]).is(0, "s3cret\n", "");
}

#[test]
fn no_identities_file_is_read_without_end() {
    let Some(store) = Store::new() else { return };
    store.insert("a", "s3cret");
    let (ours, _) = identity(&find("age-keygen").unwrap());
    let key = ours.lines().find(|line| line.starts_with("AGE-")).unwrap();
    let cut = |piece: &str, size: usize| piece.bytes().cycle().take(size).collect::<Vec<u8>>();
    let plugins: Vec<u8> = (0..50_000)
        .flat_map(|n| format!("AGE-PLUGIN-P{n}-1QQQ\n").into_bytes())
        .take(MIB)
        .collect();
    let begin = "-----BEGIN AGE ENCRYPTED FILE-----\n";
    let line = "A".repeat(64) + "\n";
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
    for (what, content, words) in [
        ("comments", many("#\n"), "larger than 1 MiB"),
        ("a little less", cut("#\n", MIB), "has no identity"),
        ("identities", cut(&format!("{key}\n"), 75 * 13_000), ""),
        ("plugins", plugins, "one plugin too many"),
        (
            "one plugin",
            cut("AGE-PLUGIN-X-1QQQ\n", 18 * 50_000),
            "age-plugin-x ",
        ),
        (
            "a long identity",
            cut("AGE-SECRET-KEY-1", MIB),
            "damaged identity",
        ),
        (
            "an armor",
            [begin.as_bytes(), &cut(&line, MIB - 100)].concat(),
            "armor",
        ),
        (
            "an SSH key",
            [ssh.as_bytes(), &cut(&line, MIB - 100)].concat(),
            "larger than 16 KiB",
        ),
        (
            "short lines",
            [ssh.as_bytes(), &cut("A\n", 16_000)].concat(),
            "more than 512 lines",
        ),
        ("stanzas", header(&cut("-> X\n\n", MIB - 100)), "damaged"),
    ] {
        let path = store.identities(content);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        ends(&store, "a", what, words);
    }
}
