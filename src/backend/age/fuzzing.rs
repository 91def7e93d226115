//! Age files and identities from anyone, for [`crate::fuzzing`].

use super::*;
use crate::deadline::Deadline;
use crate::fuzzing::{context, is_clean};

pub fn age_identities(text: &[u8]) {
    let path = Path::new("identities");
    match identities::armored_or_binary(text, Deadline::never()) {
        Some(Ok(file)) => {
            let locked = Identities::Protected(file);
            assert!(locked.unusable(&context()).is_some());
            // Nobody is there to type a passphrase.
            match locked.unlock(path, &context()) {
                Ok(_) => panic!("opened without a passphrase"),
                Err(reason) => is_clean(&reason),
            }
        }
        Some(Err(problem)) => assert!(!problem.text.is_empty()),
        None => match identities::parse(text, path, Deadline::never()) {
            Ok(identities) => {
                assert!(!identities.is_empty());
                assert!(!Identities::Open(identities).describe().is_empty());
            }
            Err(reason) => is_clean(&reason),
        },
    }
}

/// Says whether it can be read.
pub fn age_file(file: &[u8], identities: &[u8], plaintext: &[u8]) -> bool {
    let open = || identities::parse(identities, Path::new("identities"), Deadline::never());
    let age = Age {
        store: "store".into(),
        identities_file: "identities".into(),
        named: true,
        relative: None,
        identities: Once::new(),
    };
    let _ = age.identities.get_or_make(open);
    match age.decrypt(file, &context()) {
        Ok(secret) => {
            assert_eq!(secret.expose(), plaintext, "it is not authenticated");
            return true;
        }
        Err(Problem::File(problem)) => assert!(!problem.text.is_empty()),
        Err(Problem::OtherKeys(kinds)) => assert!(!kinds.is_empty()),
        Err(Problem::Identities(reason)) => is_clean(&reason),
    }
    false
}
