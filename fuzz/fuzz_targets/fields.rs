//! A field picked out of a secret: its name, a NUL byte, the secret. What is JSON, another reader must say, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mxm_secrets::Secret;
use mxm_secrets::fuzzing::{Deadline, Value, pick};

fuzz_target!(|data: &[u8]| {
    let Some(at) = data.iter().position(|&byte| byte == 0) else {
        return;
    };
    let (name, whole) = (&data[..at], &data[at + 1..]);
    let Ok(name) = std::str::from_utf8(name) else {
        return;
    };
    let picked = pick(&Secret::copy_of(whole), name, Deadline::never());
    let ours = Value::parse(whole, None);
    // They count depth in another way.
    let shallow = whole
        .iter()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count()
        < 100;
    if shallow {
        let theirs = serde_json::from_slice::<serde_json::Value>(whole);
        assert_eq!(ours.is_some(), theirs.is_ok(), "{theirs:?}");
        if let (Some(ours), Ok(theirs)) = (ours, &theirs) {
            agree(ours, theirs, name, picked.as_ref());
        }
    }
    if let Some(picked) = picked {
        assert!(picked.len() <= whole.len());
        let plain = ours.is_none_or(|ours| !ours.is_object()) || !whole.contains(&b'\\');
        let blanks = whole.iter().any(u8::is_ascii_whitespace);
        let json = ours.is_some_and(Value::is_object);
        if plain && !(json && blanks) {
            let part = picked.expose();
            assert!(part.is_empty() || whole.windows(part.len()).any(|window| window == part));
        }
    }
});

fn agree(ours: Value, theirs: &serde_json::Value, name: &str, picked: Option<&Secret>) {
    assert_eq!(ours.is_object(), theirs.is_object());
    assert_eq!(ours.is_null(), theirs.is_null());
    assert_eq!(
        ours.text().as_ref().map(Secret::expose),
        theirs.as_str().map(str::as_bytes)
    );
    let lengths = theirs.as_array().map(Vec::len).unwrap_or_default();
    assert_eq!(ours.elements().count(), lengths);
    let Some(members) = theirs.as_object() else {
        return;
    };
    let mut names = ours.names();
    names.sort();
    names.dedup();
    let mut others: Vec<&String> = members.keys().collect();
    others.sort();
    assert_eq!(names.iter().collect::<Vec<_>>(), others);
    match (members.get(name), picked) {
        (None | Some(serde_json::Value::Null), None) => {}
        (Some(serde_json::Value::String(text)), Some(picked)) => {
            assert_eq!(text.as_bytes(), picked.expose());
        }
        (Some(serde_json::Value::Bool(word)), Some(picked)) => {
            assert_eq!(word.to_string().as_bytes(), picked.expose());
        }
        (Some(value), Some(picked)) => {
            let again: serde_json::Value =
                serde_json::from_slice(picked.expose()).expect("a value");
            assert_eq!(value, &again);
        }
        (value, _) => panic!("{value:?}"),
    }
}
