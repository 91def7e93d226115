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

/// What the messages say of an outcome other than success, where we decrypt ourselves.
const WORDS: &[(&str, &[&str])] = &[
    (
        "armor failure",
        &["has a damaged armor", "is not an age file"],
    ),
    (
        "header failure",
        &[
            "has a damaged header",
            "is cut short",
            "is not an age file",
            "is empty",
            "of a version of the age format",
            "has a damaged armor",
        ],
    ),
    (
        "HMAC failure",
        &["has a damaged header: it does not authenticate"],
    ),
    ("no match", &["is not encrypted for an identity in"]),
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
    for file in files {
        outcome(&file, &pq, &batchpass);
    }
}

fn outcome(file: &Path, pq: &Path, batchpass: &Path) {
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
    let context = format!("{vector}: {expected}: {}", seen.stderr);
    if expected == "success" {
        // The chain's rule: an empty value counts as none.
        let empty = vector == "stream_empty_payload";
        assert_eq!(seen.status, Some(i32::from(empty)), "{context}");
        let hash = filter(Command::new("sha256sum"), &[], &seen.stdout);
        assert!(hash.starts_with(first["payload"].as_bytes()), "{context}");
    } else {
        assert_eq!((seen.status, seen.stdout.len()), (Some(4), 0), "{context}");
        let (_, words) = WORDS.iter().find(|(name, _)| *name == expected).unwrap();
        let told = words.iter().any(|word| seen.stderr.contains(word));
        assert!(told || !native, "{context}");
    }
}
