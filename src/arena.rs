//! The allocator of the program: small pieces come from one block that is there from the start. The last piece can grow
//! where it is. No byte of the block is handed out twice: only the end of the process gives it back. Every piece is wiped
//! when it is freed, whoever frees it.
//!
//! [`secret`](crate::secret) wipes its own bytes; a library does not wipe what it has been given to decrypt or to take
//! apart: a record of TLS, a chunk of an age file. Their buffers pass through here.
//!
//! A lookup takes some kilobytes and ends. The C library's allocator asks the kernel for pages and returns them many
//! times on the way, which is a good part of the whole run, and lookups side by side wait for its one lock. What does
//! not fit goes to the C library, so that memory does not grow without end.
//!
//! Where there is no memory left, the program ends here with a message and its status of failures: it could do nothing
//! that needs none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroize;

use crate::sys;

/// The size of the block, in bytes: a hundred secrets of Vault take a third of it. It costs nothing but the pages that
/// are used.
const SIZE: usize = 2 << 20;
/// The largest piece that comes from the block, in bytes: more than a record of TLS, the largest of what is taken again
/// and again.
const LARGEST: usize = 64 << 10;

/// See the module.
pub struct Arena {
    block: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: each byte of the block is handed out once, to one owner, by an atomic step of `used`.
unsafe impl Sync for Arena {}

impl Arena {
    /// A block that nothing has been taken from.
    pub const fn new() -> Arena {
        Arena {
            block: UnsafeCell::new([0; SIZE]),
            used: AtomicUsize::new(0),
        }
    }

    /// The next piece of the block, if there is room for it.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        if layout.size() > LARGEST {
            return None;
        }
        let start = self.block.get().cast::<u8>();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let gap = (start as usize + used).wrapping_neg() & (layout.align() - 1);
            let end = used.checked_add(gap)?.checked_add(layout.size())?;
            if end > SIZE {
                return None;
            }
            match self
                .used
                .compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(start.wrapping_add(used + gap)),
                Err(now) => used = now,
            }
        }
    }

    /// Makes the piece of `old` bytes longer, if nothing has been taken after it and there is room.
    fn grow(&self, piece: *mut u8, old: usize, new: usize) -> bool {
        let start = piece as usize - self.block.get() as usize;
        let end = start + new;
        new <= LARGEST
            && end <= SIZE
            && self
                .used
                .compare_exchange(start + old, end, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether `piece` is of the block.
    fn owns(&self, piece: *mut u8) -> bool {
        (piece as usize).wrapping_sub(self.block.get() as usize) < SIZE
    }
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

// SAFETY: pieces of the block are aligned, disjoint and never moved; all others are the system's, and go back to it.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(piece) = self.take(layout) {
            return piece;
        }
        // SAFETY: the caller's promise is the system's.
        let piece = unsafe { System.alloc(layout) };
        if piece.is_null() {
            sys::end_without_memory();
        }
        piece
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: the piece is still the caller's, and as long as its layout says; one that is not of the block came
        // from the system, with this layout.
        unsafe {
            wipe(std::slice::from_raw_parts_mut(piece.cast(), layout.size()));
            if !self.owns(piece) {
                System.dealloc(piece, layout);
            }
        }
    }

    /// Never the system's own, which leaves the old bytes behind when it moves a piece.
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is valid for this alignment, and what is behind it nobody reads any
        // more; another piece is disjoint, and both have the smaller of the two sizes; the old one goes back once.
        unsafe {
            if self.owns(piece) {
                if let Some(rest) = layout.size().checked_sub(size) {
                    wipe(std::slice::from_raw_parts_mut(piece.add(size).cast(), rest));
                    return piece;
                }
                if self.grow(piece, layout.size(), size) {
                    return piece;
                }
            }
            let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            std::ptr::copy_nonoverlapping(piece, other, layout.size().min(size));
            self.dealloc(piece, layout);
            other
        }
    }
}

/// Overwrites memory that nobody reads any more.
fn wipe(memory: &mut [MaybeUninit<u8>]) {
    memory.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is freed, cut off or moved away from is zero.
    #[test]
    fn freed_memory_is_wiped() {
        static ARENA: Arena = Arena::new();
        let arena = &ARENA;
        let layout = Layout::from_size_align(100, 8).unwrap();
        let of = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the block outlives its pieces, so that they can be looked at when they are free.
        unsafe {
            let is_zero = |piece: *mut u8, size| {
                let bytes = std::slice::from_raw_parts(piece, size);
                bytes.iter().all(|&byte| byte == 0)
            };
            let first = arena.alloc(layout);
            first.write_bytes(1, 100);
            let last = arena.alloc(layout);
            last.write_bytes(2, 100);
            let moved = arena.realloc(first, layout, 200);
            assert!(moved != first && is_zero(first, 100));
            let cut = arena.realloc(moved, of(200), 10);
            assert!(cut == moved && is_zero(cut.add(10), 190));
            arena.dealloc(cut, of(10));
            arena.dealloc(last, layout);
            assert!(is_zero(cut, 10) && is_zero(last, 100));
            let after = arena.alloc(layout);
            assert!(after > moved, "what is freed is not handed out again");
            // One of the system's, which is gone when it is freed.
            let large = arena.alloc(of(LARGEST + 1));
            large.write_bytes(3, LARGEST + 1);
            let larger = arena.realloc(large, of(LARGEST + 1), 3 * LARGEST);
            assert_eq!((larger.read(), larger.add(LARGEST).read()), (3, 3));
            wipe(std::slice::from_raw_parts_mut(larger.cast(), LARGEST + 1));
            assert!(is_zero(larger, LARGEST + 1));
            arena.dealloc(larger, of(3 * LARGEST));
        }
    }

    /// Pieces are aligned and disjoint, keep what is written to them, and go on past the end of the block.
    #[test]
    fn pieces_are_aligned_and_disjoint() {
        static ARENA: Arena = Arena::new();
        let arena = &ARENA;
        let mut pieces = Vec::new();
        // Miri writes byte by byte.
        let (count, largest) = if cfg!(miri) { (100, 100) } else { (2000, 5000) };
        for index in 0..count {
            let size = 1 + index * 7 % largest;
            let layout = Layout::from_size_align(size, 1 << (index % 7)).unwrap();
            // SAFETY: the layout is not empty, and the piece is as long as it says.
            let piece = unsafe {
                let piece = arena.alloc(layout);
                piece.write_bytes(index.to_le_bytes()[0], layout.size());
                piece
            };
            assert_eq!(piece as usize % layout.align(), 0);
            pieces.push((piece, layout));
        }
        assert!(pieces.iter().any(|(piece, _)| arena.owns(*piece)));
        let past =
            |(piece, layout): &(*mut u8, Layout)| !arena.owns(*piece) && layout.size() <= LARGEST;
        assert!(cfg!(miri) || pieces.iter().any(past));
        for (index, (piece, layout)) in pieces.into_iter().enumerate() {
            let byte = index.to_le_bytes()[0];
            // SAFETY: the piece is live and as long as its layout says; it grows, is read, and goes back once.
            unsafe {
                let larger = arena.realloc(piece, layout, layout.size() + 3);
                let kept = std::slice::from_raw_parts(larger, layout.size());
                assert_eq!(kept, vec![byte; layout.size()], "{index}");
                arena.dealloc(
                    larger,
                    Layout::from_size_align(layout.size() + 3, layout.align()).unwrap(),
                );
            }
        }
    }

    /// For Miri, which sees whether one thread wipes what another has been given.
    #[test]
    fn threads_take_and_free_side_by_side() {
        static ARENA: Arena = Arena::new();
        let churn = |byte: u8| {
            for round in 0..50 {
                let of = |size| Layout::from_size_align(size, 8).unwrap();
                // SAFETY: the layouts are those that the pieces were given with.
                unsafe {
                    let piece = ARENA.alloc(of(24));
                    piece.write_bytes(byte, 24);
                    let piece = ARENA.realloc(piece, of(24), 24 + round);
                    assert_eq!(std::slice::from_raw_parts(piece, 24), [byte; 24]);
                    ARENA.dealloc(piece, of(24 + round));
                }
            }
        };
        std::thread::scope(|scope| {
            for byte in 1..=3 {
                scope.spawn(move || churn(byte));
            }
        });
    }
}
