//! Every way to cut or to bend a small file: never a value, never a panic, always failed.

use std::fs;

use super::Store;

/// Runs `check` for every number below `count`, on as many threads as there are processors.
fn for_all(count: usize, check: impl Fn(usize) + Sync) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let check = &check;
            scope.spawn(move || (first..count).step_by(threads).for_each(check));
        }
    });
}

#[test]
fn a_file_that_is_cut_anywhere_is_failed() {
    let Some(store) = Store::new() else { return };
    for arguments in [&["-r"][..], &["-a", "-r"]] {
        let arguments = [arguments, &[&store.recipient]].concat();
        let whole = fs::read(store.encrypt("whole", &arguments, "canary")).unwrap();
        // Without its last newline an armored file is still whole.
        let end = whole.len() - usize::from(whole.ends_with(b"\n"));
        for_all(end, |length| {
            let name = format!("cut{length}");
            fs::write(store.file(&name), &whole[..length]).unwrap();
            store.fails(&name, &[&format!("{name}.age ")]);
        });
    }
}

#[test]
fn a_file_with_any_byte_changed_is_failed() {
    let Some(store) = Store::new() else { return };
    let whole = fs::read(store.insert("whole", "canary")).unwrap();
    for_all(whole.len() * 2, |n| {
        let (place, bit) = (n / 2, [0x01, 0x80][n % 2]);
        let name = format!("bent{n}");
        let mut bent = whole.clone();
        bent[place] ^= bit;
        fs::write(store.file(&name), bent).unwrap();
        store.fails(&name, &[&format!("{name}.age ")]);
    });
}

#[test]
fn a_large_file_with_a_damaged_end_gives_nothing_of_its_beginning() {
    let Some(store) = Store::new() else { return };
    let path = store.insert("large", vec![b'x'; 300_000]);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    store.fails("large", &["large.age is damaged or cut short"]);
    // Cut where a chunk of 64 KiB ends.
    bytes.truncate(bytes.len() - (300_000 % 65_536) - 16);
    fs::write(&path, &bytes).unwrap();
    store.fails("large", &["large.age is damaged or cut short"]);
}
