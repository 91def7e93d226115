//! What the program never does: write, linger, leak. A canary goes through every backend, and is looked for wherever it
//! has no business; the system calls of the program are all looked at.
//!
//! Only the program itself is judged: what a gopass or a gpg-agent does in its own process is theirs.

mod calls;
mod libraries;
mod memory;
mod processes;
mod scanner;
mod stranger;
