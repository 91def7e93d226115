//! The processes that a child has started, wherever they have gone, and their end.
//!
//! A process belongs to a child that is its ancestor, that leads its group, or whose mark it has in its environment. So
//! it is found after `setsid`, and after its parent has ended. A process that has left the group, has lost its parent
//! and hides its environment becomes ours where [`sys::let_orphans_come`] was called, and belongs to the only child that
//! there is then; elsewhere it is not found. Where there is no /proc, the child and its group are all that is known.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::{sys, watch};

/// How long processes may take to end once they have been asked to.
const MOMENT: Duration = Duration::from_secs(1);

/// How long a program of ours may take, which ends its own children and gives its login back first.
const OUR_MOMENT: Duration = Duration::from_secs(4);

/// How many looks in a row must find nothing until nothing is left.
const QUIET: u32 = 2;

/// The daemons that programs start by design, for others to use later: by their names, which the kernel cuts.
const DAEMONS: [&str; 10] = [
    "gpg-agent",
    "keyboxd",
    "dirmngr",
    "scdaemon",
    "tpm2daemon",
    "ssh-agent",
    "rbw-agent",
    "dbus-daemon",
    "dbus-launch",
    "gnome-keyring-d",
];

/// The arguments of the one that is called `gopass`.
const AGENT_OF_GOPASS: &[u8] = b"\0age\0agent\0start\0";

/// How many children there are, or are just being started.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Counts a child, from before it is started.
pub struct Counted(());

impl Counted {
    pub fn new() -> Counted {
        COUNT.fetch_add(1, Ordering::SeqCst);
        Counted(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A child, and what tells those that it has started from others.
pub struct Family {
    /// The child.
    pub child: u32,
    /// Whether it leads a process group of its own.
    pub group: bool,
    /// What only its environment has.
    pub mark: String,
    pub _counted: Counted,
}

/// Which of them are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All but the daemons.
    All,
    /// Those that have stayed in the group: the child has come to its own end, and what has left the group is meant to
    /// stay, such as the connection that ssh keeps for the next one.
    InGroup,
}

/// What is known from one look at all processes to the next.
#[derive(Default)]
struct Seen {
    /// Those that were found before: they belong to the child whoever their parent is now.
    members: Vec<(u32, u64)>,
    /// Those that do not belong to it.
    others: HashSet<u32>,
    /// Those that had ended before they could be looked at.
    ended: HashSet<u32>,
    /// Whether the last two are passed over.
    only_new: bool,
}

/// A process, as /proc shows it.
struct Process {
    pid: u32,
    name: String,
    parent: u32,
    group: u32,
    /// When it began: tells it from a later one of the same number.
    began: u64,
}

impl Family {
    /// Asks them to end, and kills those that have not done so after a moment. The child has not been reaped yet, or
    /// something is left in its group.
    pub fn end(&self, which: Which) {
        let mut seen = Seen::default();
        let (moment, our_moment) = (Deadline::after(MOMENT), Deadline::after(OUR_MOMENT));
        let mut pause = Duration::from_millis(1);
        loop {
            let asked = seen.members.len();
            let alive = self.alive(which, &mut seen);
            let at_once = self.group && which == Which::All && asked == 0;
            if at_once {
                sys::ask_group_to_end(self.child);
            }
            for process in &alive {
                let done = at_once && process.group == self.child;
                if !done && !seen.members[..asked].contains(&process.id()) {
                    sys::ask_to_end(process.pid);
                }
            }
            let ours = alive.iter().any(|process| process.name == "mxm-secrets");
            if alive.is_empty() || if ours { our_moment } else { moment }.passed() {
                break;
            }
            watch::pause(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        // What starts another and ends at once is gone when it is killed. So what is known not to belong is not looked
        // at again: that is quicker than to start one. It does not go on for ever, since some may not be killed.
        let patience = Deadline::after(MOMENT);
        let mut quiet = 0;
        seen.only_new = true;
        while quiet < QUIET && !patience.passed() {
            let (members, ended) = (seen.members.len(), seen.ended.len());
            let alive = self.alive(which, &mut seen);
            if self.group && (which == Which::All || !alive.is_empty()) {
                // With whatever they start meanwhile.
                sys::kill_group(self.child);
            }
            alive.iter().for_each(|process| sys::kill(process.pid));
            quiet = match alive.is_empty() && ended == seen.ended.len() {
                true => quiet + 1,
                false => 0,
            };
            if quiet == 0 && members == seen.members.len() {
                watch::pause(Duration::from_millis(1));
            }
        }
    }

    /// Those that are alive.
    fn alive(&self, which: Which, seen: &mut Seen) -> Vec<Process> {
        let us = std::process::id();
        let is_only = || COUNT.load(Ordering::SeqCst) == 1;
        // Another child that is started between the two looks is none of it.
        let before = sys::orphans_come() && is_only();
        let mut others = processes(seen);
        let takes_orphans = before && is_only();
        let Some(own) = others.iter().position(|process| process.pid == us) else {
            return self.child_alone();
        };
        let own = others.swap_remove(own);
        let group = if self.group { self.child } else { own.group };
        let mut found = Vec::new();
        loop {
            let belongs = |process: &Process| match which {
                Which::All => {
                    (process.pid == self.child && process.parent == us)
                        || (self.group && process.group == group)
                        || seen.members.contains(&process.id())
                        || found.iter().any(|one: &Process| one.pid == process.parent)
                        || (process.began >= own.began && self.marks(process))
                        || (takes_orphans
                            && process.parent == us
                            && process.began >= own.began
                            && !has(process.pid, super::lineage::VARIABLE))
                }
                Which::InGroup => process.group == group && (self.group || self.marks(process)),
            };
            let (more, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(belongs);
            others = rest;
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let daemon = |process: &Process| {
            process.group != group
                && (DAEMONS.contains(&process.name.as_str())
                    || read(process.pid, "cmdline").ends_with(AGENT_OF_GOPASS))
        };
        found.retain(|process| !daemon(process));
        for process in &found {
            if !seen.members.contains(&process.id()) {
                seen.members.push(process.id());
            }
        }
        if seen.only_new {
            // One that is just becoming another program has no environment yet.
            let settled =
                |other: &Process| other.began < own.began || !read(other.pid, "environ").is_empty();
            let others = others.iter().filter(|other| settled(other));
            seen.others.extend(others.map(|other| other.pid));
        }
        found
    }

    /// What is known without /proc.
    fn child_alone(&self) -> Vec<Process> {
        let alive = sys::has_ended(self.child).is_ok_and(|ended| !ended);
        let child = Process {
            pid: self.child,
            name: String::new(),
            parent: 0,
            group: self.child,
            began: 0,
        };
        alive.then_some(child).into_iter().collect()
    }

    /// Whether it has the mark. That of a process of another user, or of one that lets nobody look, cannot be seen.
    fn marks(&self, process: &Process) -> bool {
        has(process.pid, &self.mark)
    }
}

impl Process {
    fn id(&self) -> (u32, u64) {
        (self.pid, self.began)
    }

    /// Reads proc_pid_stat(5); `None` for a process that has ended, whether it has been reaped or not.
    fn read(pid: u32) -> Option<Process> {
        let text = read(pid, "stat");
        let text = String::from_utf8_lossy(&text);
        let (name, fields) = text.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        (!matches!(fields.first(), Some(&("Z" | "X")))).then_some(Process {
            pid,
            name: name.to_owned(),
            parent: number(1)?,
            group: number(2)?,
            began: fields.get(19)?.parse().ok()?,
        })
    }
}

/// All that run.
fn processes(seen: &mut Seen) -> Vec<Process> {
    let entries = if cfg!(mxm_secrets_portable) {
        None
    } else {
        fs::read_dir("/proc").ok()
    };
    let entries = entries.into_iter().flatten().flatten();
    let mut all = Vec::new();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if seen.only_new && (seen.others.contains(&pid) || seen.ended.contains(&pid)) {
            continue;
        }
        match Process::read(pid) {
            Some(process) => all.push(process),
            None => _ = seen.ended.insert(pid),
        }
    }
    all
}

/// Whether `text` stands in the environment of a process.
fn has(pid: u32, text: &str) -> bool {
    let environment = read(pid, "environ");
    environment
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// A file of /proc; empty when the process has ended, or does not let us look.
fn read(pid: u32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}
