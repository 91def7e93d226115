//! Children: their end, brought about or waited for, whatever becomes of this process.

use std::io;
use std::os::fd::OwnedFd;
#[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// Kills a process.
pub fn kill(process: u32) {
    if let Some(process) = pid(process) {
        let _ = rustix::process::kill_process(process, Signal::KILL);
    }
}

/// Asks a process to end.
pub fn ask_to_end(process: u32) {
    if let Some(process) = pid(process) {
        let _ = rustix::process::kill_process(process, Signal::TERM);
    }
}

/// Kills the process group that `leader` leads. The caller has not reaped the leader yet, so the number is still its.
pub fn kill_group(leader: u32) {
    if let Some(leader) = pid(leader) {
        let _ = rustix::process::kill_process_group(leader, Signal::KILL);
    }
}

/// Asks the process group that `leader` leads to end. The caller has not reaped the leader yet.
pub fn ask_group_to_end(leader: u32) {
    if let Some(leader) = pid(leader) {
        let _ = rustix::process::kill_process_group(leader, Signal::TERM);
    }
}

/// Whether a process is left in the group that `leader` leads, or has led.
pub fn group_is_there(leader: u32) -> bool {
    pid(leader).is_some_and(|leader| rustix::process::test_kill_process_group(leader).is_ok())
}

/// Lets the system kill what `command` starts when the thread that starts it ends first, as it does when this process
/// is killed; on systems that have such a thing (Linux, PR_SET_PDEATHSIG in prctl(2)).
pub fn end_with_us(command: &mut Command) {
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    {
        if ORPHANS_COME.load(Ordering::Relaxed) {
            let us = rustix::process::getpid();
            let done = rustix::process::set_child_subreaper(Some(us)).is_ok();
            ORPHANS_COME.store(done, Ordering::Relaxed);
        }
        let us = rustix::process::getpid();
        let bind = move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // We may have been killed before that was said.
            match rustix::process::getppid() == Some(us) {
                true => Ok(()),
                false => Err(io::ErrorKind::Interrupted.into()),
            }
        };
        // SAFETY: between fork and exec this makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(bind) };
    }
    #[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
    let _ = command;
}

/// Whether what loses its parent, below this process, becomes its child.
static ORPHANS_COME: AtomicBool = AtomicBool::new(false);

/// From the next [`end_with_us`] on, what loses its parent below this process becomes its child, on systems that have such
/// a thing (Linux, PR_SET_CHILD_SUBREAPER in prctl(2)). Not for a process that becomes another program, to which they
/// would be strange children.
pub fn let_orphans_come() {
    let has = cfg!(all(target_os = "linux", not(mxm_secrets_portable)));
    ORPHANS_COME.store(has, Ordering::Relaxed);
}

/// Whether they do.
pub fn orphans_come() -> bool {
    ORPHANS_COME.load(Ordering::Relaxed)
}

/// Lets the system ask this process to end, in place of killing it, when its parent has said [`end_with_us`]: there may
/// be something to be cleaned up.
pub fn be_asked_to_end() {
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    if rustix::process::parent_process_death_signal() == Ok(Some(Signal::KILL)) {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    }
}

/// A descriptor that can be read once the child has ended, on systems that have such a thing (Linux 5.3, pidfd_open(2)).
pub fn end_of(child: u32) -> Option<OwnedFd> {
    #[cfg(all(target_os = "linux", not(mxm_secrets_portable)))]
    return rustix::process::pidfd_open(pid(child)?, rustix::process::PidfdFlags::empty()).ok();
    #[cfg(any(not(target_os = "linux"), mxm_secrets_portable))]
    {
        let _ = child;
        None
    }
}

/// Whether the child has ended. It is not reaped: the number is still its, and how it ended can still be asked.
///
/// # Errors
/// What `waitid` says: there is no such child.
pub fn has_ended(child: u32) -> io::Result<bool> {
    let child = pid(child).ok_or(io::ErrorKind::NotFound)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(rustix::process::waitid(WaitId::Pid(child), options)?.is_some())
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(number.cast_signed())
}

/// The children that are running; negative for a whole process group, zero for none.
static CHILDREN: [AtomicI32; 32] = [const { AtomicI32::new(0) }; 32];

/// Remembers a child, or with `group` the process group that it leads, which is to end where this process ends for want
/// of memory. The place is given back with [`forget_child`].
pub fn remember_child(pid: u32, group: bool) {
    let pid = pid.cast_signed();
    let child = if group { -pid } else { pid };
    for place in &CHILDREN {
        if place
            .compare_exchange(0, child, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

/// Forgets a child, before it is reaped: its number may become another's.
pub fn forget_child(pid: u32) {
    let pid = pid.cast_signed();
    for place in &CHILDREN {
        if place.load(Ordering::Relaxed).abs() == pid {
            place.store(0, Ordering::Relaxed);
        }
    }
}

/// Kills all that are remembered. It needs no memory.
pub fn kill_all() {
    for child in &CHILDREN {
        let child = child.load(Ordering::Relaxed);
        if let Some(pid) = Pid::from_raw(child.abs()) {
            let _ = if child < 0 {
                rustix::process::kill_process_group(pid, Signal::KILL)
            } else {
                rustix::process::kill_process(pid, Signal::KILL)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn that_a_child_has_ended_can_be_asked_again_and_again() {
        let mut child = Command::new("sh")
            .args(["-c", "read line; exit 3"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(!has_ended(child.id()).unwrap());
        drop(child.stdin.take());
        while !has_ended(child.id()).unwrap() {
            std::thread::yield_now();
        }
        assert!(has_ended(child.id()).unwrap());
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert!(has_ended(child.id()).is_err());
    }
}
