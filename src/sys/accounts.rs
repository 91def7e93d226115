//! The accounts of this machine, as its files have them.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::user;

const PASSWD: &str = "/etc/passwd";

/// The largest list of accounts that is read, in bytes.
const LARGEST: u64 = 8 << 20;

/// The accounts of this machine, those of a directory service left out: whoever is not in them is not known.
pub struct Accounts {
    passwd: String,
    groups: String,
}

impl Accounts {
    /// Of those that can be read.
    pub fn read() -> Accounts {
        let read = |path| read(path).unwrap_or_default();
        Accounts {
            passwd: read(PASSWD),
            groups: read("/etc/group"),
        }
    }

    /// The name and number of a user.
    pub fn user(&self, number: u32) -> String {
        named(&self.passwd, number)
    }

    /// The name and number of a group.
    pub fn group(&self, number: u32) -> String {
        named(&self.groups, number)
    }

    /// The users of a group; none if it is not known. A member that is no account here has the number of nobody.
    pub fn members(&self, group: u32) -> Vec<u32> {
        let number = group.to_string();
        // Several groups may have one number.
        let mut lists = lines(&self.groups)
            .filter(|fields| fields.get(2) == Some(&&*number))
            .peekable();
        if lists.peek().is_none() {
            return Vec::new();
        }
        let primary = lines(&self.passwd).filter(|fields| fields.get(3) == Some(&&*number));
        let names = lists.flat_map(|fields| fields.into_iter().nth(3).unwrap_or("").split(','));
        let listed = names.filter(|name| !name.is_empty());
        let listed = listed.map(|name| {
            let account = lines(&self.passwd).find(|fields| fields.first() == Some(&name));
            account.map_or(u32::MAX, user_of)
        });
        primary.map(user_of).chain(listed).collect()
    }
}

/// The lines of a list of accounts, each split into its fields.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// The number of the user that a line of /etc/passwd is about.
fn user_of(fields: Vec<&str>) -> u32 {
    let number = fields.get(2).and_then(|number| number.parse().ok());
    number.unwrap_or(u32::MAX)
}

/// `alice (1000)`, or the number alone.
fn named(text: &str, number: u32) -> String {
    let digits = number.to_string();
    match lines(text).find(|fields| fields.get(2) == Some(&&*digits)) {
        Some(fields) => format!("{} ({number})", fields.first().unwrap_or(&"")),
        None => digits,
    }
}

/// What the system says of this user's home directory.
pub fn home_of_account() -> Option<PathBuf> {
    let passwd = read(PASSWD).ok()?;
    let number = user().to_string();
    let mut accounts = lines(&passwd);
    let account = accounts.find(|fields| fields.get(2) == Some(&&*number))?;
    account.get(5).map(PathBuf::from)
}

fn read(path: &str) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_those_that_name_it_and_those_that_it_names() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:\nbob:x:1001:1000::/:\n"
                .to_owned(),
            groups: "root:x:0:\nann:x:1000:\nboth:x:7:ann,bob\ngone:x:8:ann,who\nnone:x:9:\none:x:6:ann\n\
                two:x:6:bob\n"
                .to_owned(),
        };
        for (group, members) in [
            (0, &[0][..]),
            (1000, &[1000, 1001]),
            (7, &[1000, 1001]),
            (6, &[1000, 1001]),
            (8, &[1000, u32::MAX]),
            (9, &[]),
            (5, &[]),
        ] {
            assert_eq!(accounts.members(group), members, "{group}");
        }
        assert_eq!(accounts.user(1001), "bob (1001)");
        assert_eq!(accounts.user(5), "5");
        assert_eq!(accounts.group(7), "both (7)");
    }
}
