//! Names of secrets.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use mxm_secrets::fuzzing::{LIMIT, Name};

fuzz_target!(|data: &[u8]| {
    let name = match Name::parse(OsStr::from_bytes(data)) {
        Ok(name) => name,
        Err(error) => return assert!(error.to_string().starts_with("bad name \"")),
    };
    assert_eq!(name.as_str().as_bytes(), data);
    assert!(data.len() <= LIMIT);
    assert_eq!(Name::parse(name.to_string()).as_ref(), Ok(&name));
    let whole = match name.field() {
        Some(field) => format!("{}#{field}", name.path()),
        None if name.is_first_line() => format!("{}#", name.path()),
        None => name.path().to_owned(),
    };
    assert_eq!(whole, name.as_str());
    // A file of that name stays below its directory.
    assert!(!name.path().starts_with('/') && !name.path().split('/').any(|part| part == ".."));
    let variable = name.variable("");
    assert!(
        variable
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    );
    // The mark of the first line is no part of it.
    let marked = usize::from(name.is_first_line());
    assert_eq!(
        variable.chars().count() + marked,
        name.as_str().chars().count()
    );
    assert_eq!(
        Name::parse(&variable).map(|again| again.variable("")),
        Ok(variable)
    );
});
