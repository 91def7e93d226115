//! The public test vectors of the age format (c2sp.org/CCTV/age), every one with the outcome it names. Those for
//! passphrases and for post-quantum keys are asked through age's own plugins for these.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::filter;
use crate::support::{Home, program};

/// The identity of age-plugin-batchpass, which says nothing: the passphrase is in $AGE_PASSPHRASE.
const BATCHPASS: &str = "AGE-PLUGIN-BATCHPASS-1JCS0Q9";

/// An identity for the vectors that have none of their own.
const ANY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// What the contract wants otherwise than the format: larger than any secret, and empty, which counts as none.
const TOO_LARGE: &[&str] = &[
    "stream_257_chunks",
    "stream_257_chunks_full",
    "stream_258_chunks",
];
const EMPTY: &str = "stream_empty_payload";

/// What the messages say of an outcome other than success, where we decrypt ourselves.
const WORDS: &[(&str, &[&str])] = &[
    (
        "armor failure",
        &[
            "has a damaged armor",
            "is not an age file",
            "has text before the line -----BEGIN AGE ENCRYPTED FILE-----",
        ],
    ),
    (
        "header failure",
        &[
            "has a damaged header",
            "is cut short",
            "is not an age file",
            "is empty",
            "has an unknown version of the age format",
            "has a damaged armor",
            "was damaged by a conversion of its line ends to CRLF",
        ],
    ),
    (
        "HMAC failure",
        &["has a damaged header: it does not authenticate"],
    ),
    ("no match", &["no identity in "]),
    (
        "payload failure",
        &["is damaged or cut short: its content does not authenticate"],
    ),
];

#[test]
fn every_vector_has_its_outcome() {
    let Some(vectors) = program("age-vectors") else {
        return;
    };
    let (Some(pq), Some(batchpass)) = (program("age-plugin-pq"), program("age-plugin-batchpass"))
    else {
        return;
    };
    let mut files: Vec<_> = fs::read_dir(vectors.join("testdata"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 100, "{}", files.len());
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|file| outcome(file, &pq, &batchpass))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with what became of one vector.
fn outcome(file: &Path, pq: &Path, batchpass: &Path) -> Option<String> {
    let vector = file.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(file).unwrap();
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let (header, mut body) = (
        String::from_utf8_lossy(&bytes[..end]),
        bytes[end + 2..].to_vec(),
    );
    let fields: Vec<(&str, &str)> = header
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    let first: HashMap<&str, &str> = fields.iter().rev().copied().collect();
    if first.get("compressed") == Some(&"zlib") {
        let packed = std::mem::take(&mut body);
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_to_end(&mut body)
            .unwrap();
    }

    let mut home = Home::new();
    home.set("MXM_SECRETS_BACKENDS", "age");
    home.install("age-plugin-pq", pq);
    home.install("age-plugin-batchpass", batchpass);
    let mut native = true;
    let mut identities = String::new();
    for (field, value) in fields {
        match field {
            "identity" if value.starts_with("AGE-SECRET-KEY-PQ-1") => {
                let converted = filter(home.command(pq), &["-identity"], value.as_bytes());
                identities.push_str(&String::from_utf8(converted).unwrap());
                native = false;
            }
            "identity" => identities.push_str(value),
            "passphrase" => {
                identities.push_str(BATCHPASS);
                native = false;
            }
            _ => continue,
        }
        identities.push('\n');
    }
    if let Some(passphrase) = first.get("passphrase") {
        home.set("AGE_PASSPHRASE", passphrase);
    }
    if identities.is_empty() {
        identities.push_str(ANY);
    }
    home.write(".passage/identities", identities);
    home.write(".passage/store/vector.age", body);

    let seen = home.run(["get", "--raw", "--quiet", "vector"]);
    let expected = first["expect"];
    let right = if TOO_LARGE.contains(&vector) {
        seen.status == Some(4) && seen.stderr.contains("holds more than 16 MiB")
    } else if expected == "success" {
        let hash = filter(Command::new("sha256sum"), &[], &seen.stdout);
        seen.status == Some(i32::from(vector == EMPTY))
            && hash.starts_with(first["payload"].as_bytes())
    } else {
        let (_, words) = WORDS.iter().find(|(name, _)| *name == expected).unwrap();
        let told = words.iter().any(|word| seen.stderr.contains(word));
        // A plugin has words of its own for it.
        let theirs = !native
            && !["is not on PATH", "in time", "cannot be run"]
                .iter()
                .any(|word| seen.stderr.contains(word));
        seen.status == Some(4) && seen.stdout.is_empty() && (told || theirs)
    };
    (!right).then(|| format!("{vector}: {expected}: {:?} {}", seen.status, seen.stderr))
}
