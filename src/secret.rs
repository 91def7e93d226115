//! The only type that holds a secret's bytes.
//!
//! It owns: wiping on drop, a `Debug` that shows nothing, and reading into a bounded buffer that leaves no stale
//! copy behind when it grows. It does not know where a secret comes from or goes to.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroize;

/// The largest secret, in bytes (16 MiB): anything longer is a failure, not a secret.
pub const LIMIT: usize = 16 << 20;

/// The bytes of one secret: wiped when dropped, never shown by `Debug`, without `Display` or `Clone`.
pub struct Secret {
    bytes: Vec<u8>,
}

impl Secret {
    /// A secret that is a copy of `bytes`. The caller wipes the original, if it can.
    pub fn copy_of(bytes: &[u8]) -> Secret {
        Secret {
            bytes: bytes.to_vec(),
        }
    }

    /// A secret that takes over `bytes` without a copy; the vector's whole capacity is wiped on drop.
    pub fn take(bytes: Vec<u8>) -> Secret {
        Secret { bytes }
    }

    /// The bytes, exactly as stored.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be written over: what is decrypted is decrypted where it stays.
    #[cfg(feature = "age")]
    pub(crate) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// Reads a secret piece by piece, up to a limit.
///
/// It grows by moving to a new allocation and wiping the old one, since a plain `Vec` would leave what it held
/// behind in freed memory.
pub struct SecretBuffer {
    bytes: Vec<u8>,
    filled: usize,
    limit: usize,
}

/// What one call of [`SecretBuffer::read_from`] did.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes came; there may be more.
    More,
    /// The reader is at its end.
    End,
    /// There is more than the limit allows.
    TooLarge,
}

impl SecretBuffer {
    /// An empty buffer for at most `limit` bytes.
    pub fn new(limit: usize) -> SecretBuffer {
        SecretBuffer {
            bytes: vec![0; 1024],
            filled: 0,
            limit,
        }
    }

    /// The same, with room for `expected` bytes, so that it need not grow.
    pub fn with_room(limit: usize, expected: usize) -> SecretBuffer {
        SecretBuffer {
            // One more, to see that nothing comes after them.
            bytes: vec![0; expected.min(limit) + 1],
            filled: 0,
            limit,
        }
    }

    /// Reads once from `reader`.
    ///
    /// # Errors
    /// What the reader says, `Interrupted` and `WouldBlock` included.
    pub fn read_from(&mut self, reader: &mut impl Read) -> io::Result<Progress> {
        self.reserve(1);
        let count = reader.read(&mut self.bytes[self.filled..])?;
        self.filled += count;
        Ok(match count {
            0 => Progress::End,
            _ if self.filled > self.limit => Progress::TooLarge,
            _ => Progress::More,
        })
    }

    /// Appends `bytes`; says whether they fit into the limit.
    #[must_use]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.limit - self.filled.min(self.limit) {
            return false;
        }
        self.reserve(bytes.len());
        self.bytes[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        true
    }

    /// The bytes so far.
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// The secret, without a further copy.
    pub fn finish(mut self) -> Secret {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.filled);
        Secret { bytes }
    }

    /// Makes room for `count` more bytes.
    fn reserve(&mut self, count: usize) {
        let needed = self.filled + count;
        if needed > self.bytes.len() {
            let mut larger = vec![0; needed.max(self.bytes.len() * 2)];
            larger[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
            wipe(&mut self.bytes);
            self.bytes = larger;
        }
    }
}

impl Drop for SecretBuffer {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// Overwrites the vector's whole allocation with zeros and leaves it empty.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.spare_capacity_mut().zeroize();
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Memory of a size that nothing else asks for.
    const WATCHED: usize = if cfg!(miri) { 2993 } else { 40_993 };
    /// How many pieces of that size were given back wiped, and how many with something in them.
    static WIPED: AtomicUsize = AtomicUsize::new(0);
    static STALE: AtomicUsize = AtomicUsize::new(0);

    /// The system's allocator; it looks at what it gets back.
    struct Watch;

    #[global_allocator]
    static WATCH: Watch = Watch;

    // SAFETY: the system's allocator does all of the work.
    unsafe impl GlobalAlloc for Watch {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller says.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller says.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            if layout.size() == WATCHED {
                // SAFETY: the tests below have filled all of it.
                let bytes = unsafe { std::slice::from_raw_parts(memory, WATCHED) };
                let stale = bytes.iter().any(|&byte| byte != 0);
                let count = if stale { &STALE } else { &WIPED };
                count.fetch_add(1, Ordering::SeqCst);
            }
            // SAFETY: as the caller says.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    #[test]
    fn memory_is_given_back_wiped() {
        drop(Secret::take(vec![7; WATCHED]));
        drop(Secret::copy_of(&Secret::take(vec![7; WATCHED]).bytes));
        let mut buffer = SecretBuffer::new(LIMIT);
        assert!(buffer.extend(&[7; WATCHED]));
        drop(buffer);
        let mut buffer = SecretBuffer::new(LIMIT);
        assert!(buffer.extend(&[7; WATCHED]) && buffer.extend(b"more"));
        let counts = (WIPED.load(Ordering::SeqCst), STALE.load(Ordering::SeqCst));
        assert_eq!(counts, (5, 0));
    }

    #[test]
    fn what_fits_is_not_moved() {
        let mut buffer = SecretBuffer::new(LIMIT);
        assert!(buffer.extend(&[7; 1024]));
        assert_eq!(buffer.finish().bytes.capacity(), 1024);
    }

    #[test]
    #[cfg(feature = "age")]
    fn a_secret_can_be_made_in_its_place() {
        let mut secret = Secret::take(vec![0; 3]);
        secret.expose_mut().copy_from_slice(b"abc");
        assert_eq!(secret.expose(), b"abc");
    }

    /// All that `bytes` give; `None` when that is more than `limit`.
    fn read_all(limit: usize, mut bytes: &[u8]) -> Option<Secret> {
        let mut buffer = SecretBuffer::new(limit);
        loop {
            match buffer.read_from(&mut bytes).unwrap() {
                Progress::More => {}
                Progress::End => return Some(buffer.finish()),
                Progress::TooLarge => return None,
            }
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", Secret::copy_of(b"canary")),
            "Secret(redacted)"
        );
    }

    #[test]
    fn wipe_zeroes_the_whole_allocation() {
        for size in [0, 1, 7, 8, 9, 63, 1024] {
            let mut bytes = vec![0xAA; size];
            bytes.truncate(size / 2);
            let capacity = bytes.capacity();
            wipe(&mut bytes);
            // SAFETY: wipe has initialised every byte of the capacity.
            unsafe { bytes.set_len(capacity) };
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn reads_everything_across_growth() {
        let length = if cfg!(miri) { 3000_u32 } else { 100_000 };
        let stored: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
        let secret = read_all(LIMIT, &stored).unwrap();
        assert_eq!(secret.expose(), stored);
    }

    #[test]
    fn the_limit_is_exact() {
        let read = |limit| read_all(limit, &[7; 2000]);
        assert_eq!(read(2000).unwrap().len(), 2000);
        assert!(read(1999).is_none());
        let mut buffer = SecretBuffer::new(3);
        assert!(buffer.extend(b"ab"));
        assert!(!buffer.extend(b"cd"));
        assert!(buffer.extend(b"c"));
        assert_eq!(buffer.finish().expose(), b"abc");
    }
}
