//! Looks into the memory of a program at its first and at its last moment: of the very program that is shipped, with
//! nothing built in for it.
//!
//! The kernel stops a traced process before its first instruction, when it may still be looked into, and again when it
//! is about to end and its memory is still there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use crate::support::place::is_unoptimised;
use crate::support::{Transcript, not_run};

/// The shortest part of a canary that counts: any run of this many of its bytes is found.
pub const SHORTEST: usize = 12;

/// A part of a canary in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    pub address: u64,
    pub bytes: String,
    /// The line of /proc/PID/maps.
    pub mapping: String,
}

/// A run of a program.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub transcript: Transcript,
    /// What was there before the first instruction: arguments and environment, where the kernel has put them.
    pub before: Vec<Find>,
    /// What was there at the end.
    pub after: Vec<Find>,
}

impl Run {
    /// Checks that no canary is told to anyone.
    #[track_caller]
    pub fn tells_nothing(&self, canaries: &[&[u8]]) {
        let found = |text: &[u8]| {
            let mut found = Vec::new();
            Needles::new(canaries).search(text, |_, text| found.push(text.to_owned()));
            found
        };
        assert_eq!(found(&self.transcript.stdout), Vec::<String>::new());
        assert_eq!(
            found(self.transcript.stderr.as_bytes()),
            Vec::<String>::new()
        );
    }

    /// What the program itself has left behind: all but what the kernel had put there before it began.
    pub fn left(&self) -> Vec<&Find> {
        let given = |find: &Find| {
            let address = |before: &Find| before.address == find.address;
            self.before.iter().any(address)
        };
        // Code that is not optimised puts every register that it works with on its stack: httparse looks at 32
        // bytes at a time, past the end of the head. The build that is shipped does not.
        let register = |find: &Find| {
            is_unoptimised() && find.mapping.ends_with("[stack]") && find.bytes.len() <= 32
        };
        let left = |find: &&Find| !given(find) && !register(find);
        self.after.iter().filter(left).collect()
    }
}

/// Runs `command` to its end, and `started` with its process id as soon as it runs. `None` (said loudly) where nothing
/// may be traced.
pub fn run(
    mut command: Command,
    canaries: &[&[u8]],
    started: impl FnOnce(i32) + Send + 'static,
) -> Option<Run> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: a system call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            not_run("ptrace is not allowed here");
            return None;
        }
        Err(error) => panic!("{command:?}: {error}"),
    };
    let pid = i32::try_from(child.id()).unwrap();
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    // Only the thread that has started it may do this.
    assert!(libc::WIFSTOPPED(wait(pid)));
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL;
    // SAFETY: plain numbers; the process is stopped and ours.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
    assert_eq!(set, 0);
    let mut memory = Memory::open(pid);
    let before = memory.search(canaries);
    let (mut after, mut started) = (Vec::new(), Some(started));
    let mut signal = 0;
    let status = loop {
        // SAFETY: as above.
        unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal) };
        if let Some(started) = started.take() {
            std::thread::spawn(move || started(pid));
        }
        let status = wait(pid);
        if !libc::WIFSTOPPED(status) {
            break status;
        }
        signal = libc::WSTOPSIG(status);
        if status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_EXIT << 8) {
            after = memory.search(canaries);
            signal = 0;
        }
    };
    let status = ExitStatus::from_raw(status);
    Some(Run {
        status,
        transcript: Transcript {
            status: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
        },
        before,
        after,
    })
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is a live number.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
        assert_eq!(
            io::Error::last_os_error().kind(),
            io::ErrorKind::Interrupted
        );
    }
    status
}

fn read_all(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        all
    })
}

/// The memory of a process, opened while it could be.
struct Memory {
    bytes: File,
    maps: File,
}

impl Memory {
    fn open(pid: i32) -> Memory {
        let open = |file: &str| File::open(format!("/proc/{pid}/{file}")).unwrap();
        Memory {
            bytes: open("mem"),
            maps: open("maps"),
        }
    }

    /// Every part of a canary in what the process could have written.
    fn search(&mut self, canaries: &[&[u8]]) -> Vec<Find> {
        let needles = Needles::new(canaries);
        let mut found = Vec::new();
        for (start, end, line) in self.mappings() {
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            let (mut at, mut any) = (0, false);
            while at < bytes.len() {
                match self.bytes.read_at(&mut bytes[at..], start + at as u64) {
                    Ok(count) if count > 0 => (at, any) = (at + count, true),
                    // A page that guards a stack may lie in its midst.
                    _ => at = (at + 4096) & !4095,
                }
            }
            // Something can always be read of what can be read at all.
            assert!(any, "{line}");
            needles.search(&bytes, |at, text| {
                found.push(Find {
                    address: start + at as u64,
                    bytes: text.to_owned(),
                    mapping: line.clone(),
                });
            });
        }
        found
    }

    /// What can be read, but for the kernel's own pages and for what is in a file and cannot be written.
    fn mappings(&mut self) -> Vec<(u64, u64, String)> {
        use std::io::Seek;
        let mut text = String::new();
        self.maps.rewind().unwrap();
        self.maps.read_to_string(&mut text).unwrap();
        assert!(text.contains("[stack]"), "{text}");
        let wanted = |line: &&str| {
            let mut words = line.split_whitespace().skip(1);
            let permissions = words.next().unwrap();
            let name = words.nth(3).unwrap_or_default();
            let of_file = name.starts_with('/') && !permissions.contains('w');
            permissions.starts_with('r') && !name.starts_with("[v") && !of_file
        };
        text.lines()
            .filter(wanted)
            .map(|line| {
                let range = line.split_whitespace().next().unwrap();
                let (start, end) = range.split_once('-').unwrap();
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                (number(start), number(end), line.to_owned())
            })
            .collect()
    }
}

/// How many bytes are compared at first.
const KEY: usize = 8;
/// In every run of [`SHORTEST`] bytes a key begins at a multiple of this.
const STEP: usize = SHORTEST - KEY + 1;

/// What to look for.
struct Needles<'a> {
    canaries: &'a [&'a [u8]],
    keys: HashSet<[u8; KEY]>,
    /// By the first two bytes of a key: most of memory is ruled out by one look.
    starts: Vec<bool>,
}

impl Needles<'_> {
    fn new<'a>(canaries: &'a [&'a [u8]]) -> Needles<'a> {
        let keys: HashSet<[u8; KEY]> = canaries
            .iter()
            .flat_map(|canary| canary.windows(KEY))
            .map(|window| window.try_into().unwrap())
            .collect();
        let mut starts = vec![false; 1 << 16];
        for key in &keys {
            starts[usize::from(key[0]) << 8 | usize::from(key[1])] = true;
        }
        Needles {
            canaries,
            keys,
            starts,
        }
    }

    fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, &str)) {
        let (mut at, mut past) = (0, 0);
        while at + KEY <= bytes.len() {
            let key = &bytes[at..at + KEY];
            if at >= past
                && self.starts[usize::from(key[0]) << 8 | usize::from(key[1])]
                && self.keys.contains(key)
            {
                let (start, end) = self.run_around(bytes, at);
                past = end;
                if end - start >= SHORTEST {
                    found(start, &String::from_utf8_lossy(&bytes[start..end]));
                }
            }
            at += STEP;
        }
    }

    /// The longest part of a canary around the key at `at`.
    fn run_around(&self, bytes: &[u8], at: usize) -> (usize, usize) {
        let mut longest = (at, at);
        for canary in self.canaries {
            for place in 0..=canary.len() - KEY {
                if canary[place..place + KEY] != bytes[at..at + KEY] {
                    continue;
                }
                let same = |(one, other): &(&u8, &u8)| one == other;
                let before = canary[..place].iter().rev();
                let before = before
                    .zip(bytes[..at].iter().rev())
                    .take_while(same)
                    .count();
                let after = canary[place..].iter().zip(&bytes[at..]);
                let after = after.take_while(same).count();
                if before + after > longest.1 - longest.0 {
                    longest = (at - before, at + after);
                }
            }
        }
        longest
    }
}

/// Every run that is long enough is found, wherever it begins, and none that is shorter.
#[test]
fn runs_of_a_canary_are_found_at_every_place() {
    let canary = b"0123456789abcdefghijklmnopqrstuv";
    let canaries: [&[u8]; 1] = [canary];
    let needles = Needles::new(&canaries);
    for place in 0..40 {
        for start in 0..canary.len() - SHORTEST {
            for length in [SHORTEST - 1, SHORTEST, SHORTEST + 1] {
                let part = &canary[start..(start + length).min(canary.len())];
                let mut bytes = vec![b'-'; 80];
                bytes[place..place + part.len()].copy_from_slice(part);
                let mut found = Vec::new();
                needles.search(&bytes, |at, text| found.push((at, text.len())));
                let expected = (part.len() >= SHORTEST).then_some((place, part.len()));
                assert_eq!(found, Vec::from_iter(expected));
            }
        }
    }
}
