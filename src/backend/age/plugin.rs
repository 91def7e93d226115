//! Identities that live elsewhere, in a security key say: programs called `age-plugin-NAME`, which speak in stanzas
//! (<https://c2sp.org/age-plugin>). The age crate would start them itself, where no deadline reaches them.

use std::process::Command;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza, read, write};

use super::terminal::{self, Echo, NoAnswer};
use crate::backend::{Context, Reason};
use crate::process::{Conversation, Problem};
use crate::secret::{Secret, SecretBuffer};

/// The most that a plugin may say without coming to an end, in bytes.
const LIMIT: usize = 1 << 20;

const PREFIX: &str = "AGE-PLUGIN-";

/// The name of the plugin whose identity `line` is.
pub fn name(line: &str) -> Option<String> {
    let (head, _) = line.rsplit_once('1')?;
    let name = head.strip_prefix(PREFIX)?.strip_suffix('-')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    (!name.is_empty() && name.chars().all(fine)).then(|| name.to_ascii_lowercase())
}

/// All the identities of one plugin.
pub struct Plugin {
    /// What it is called on PATH.
    pub program: String,
    /// The lines of the identities file.
    pub identities: Vec<Secret>,
}

impl Plugin {
    /// The plugin called `name`, without identities yet.
    pub fn new(name: &str) -> Plugin {
        Plugin {
            program: format!("age-plugin-{name}"),
            identities: Vec::new(),
        }
    }

    /// Whether it is the plugin called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.program.strip_prefix("age-plugin-") == Some(name)
    }

    /// Has the plugin find the file key in one of `stanzas`; `None` when they are not for its identities.
    pub fn unwrap(&self, stanzas: &[Stanza], context: &Context) -> Result<Option<FileKey>, Reason> {
        let mut command = Command::new(&self.program);
        command
            .arg("--age-plugin=identity-v1")
            .env_remove("AGEDEBUG");
        if context.unattended {
            command
                .env("GPG_TTY", "not a tty")
                .env_remove("DISPLAY")
                .env_remove("WAYLAND_DISPLAY");
        }
        let conversation = Conversation::start(&mut command, context).map_err(|p| self.says(p))?;
        let mut dialogue = Dialogue {
            plugin: self,
            conversation,
            heard: SecretBuffer::new(LIMIT),
            context,
        };
        let found = dialogue.hold(stanzas)?;
        dialogue.conversation.end();
        Ok(found)
    }

    fn says(&self, what: impl Into<Reason>) -> Reason {
        what.into().after(&self.program)
    }
}

/// One run of a plugin.
struct Dialogue<'a> {
    plugin: &'a Plugin,
    conversation: Conversation,
    /// What has been heard and not yet understood.
    heard: SecretBuffer,
    context: &'a Context<'a>,
}

impl Dialogue<'_> {
    fn hold(&mut self, stanzas: &[Stanza]) -> Result<Option<FileKey>, Reason> {
        for identity in &self.plugin.identities {
            self.say_line(&[b"-> add-identity ", identity.expose(), b"\n\n"])?;
        }
        for stanza in stanzas {
            let arguments: Vec<&str> = ["0", &stanza.tag]
                .into_iter()
                .chain(stanza.args.iter().map(String::as_str))
                .collect();
            self.say("recipient-stanza", &arguments, &stanza.body)?;
        }
        self.say("done", &[], &[])?;

        let (mut key, mut error) = (None, None);
        loop {
            let (command, body) = self.hear()?;
            self.context
                .deadline
                .go_on()
                .map_err(|ended| self.plugin.says(Problem::from(ended)))?;
            let text = || String::from_utf8_lossy(body.expose()).into_owned();
            match command.tag.as_str() {
                "done" => break,
                "file-key" => {
                    key = <&[u8; FILE_KEY_BYTES]>::try_from(body.expose())
                        .ok()
                        .map(|bytes| FileKey::init_with_mut(|key| key.copy_from_slice(bytes)));
                    self.say("ok", &[], &[])?;
                }
                "error" => {
                    // What it says is meant for people; but it is no more than a line of ours.
                    let said: String = text()
                        .lines()
                        .next()
                        .unwrap_or("")
                        .chars()
                        .take(200)
                        .collect();
                    error.get_or_insert_with(|| self.plugin.says(format!("failed: {said}")));
                    self.say("ok", &[], &[])?;
                }
                "msg" => {
                    terminal::tell(
                        &format!("{}: {}", self.plugin.program, text()),
                        self.context,
                    );
                    self.say("ok", &[], &[])?;
                }
                "confirm" => self.confirm(&text(), &command.args)?,
                "request-public" => self.request(&text(), Echo::On)?,
                "request-secret" => self.request(&text(), Echo::Off)?,
                _ => self.say("unsupported", &[], &[])?,
            }
        }
        match (key, error) {
            (Some(key), _) => Ok(Some(key)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Passes a question on to the person.
    fn request(&mut self, question: &str, echo: Echo) -> Result<(), Reason> {
        match self.ask(question, echo)? {
            Some(answer) => self.say("ok", &[], answer.expose()),
            None => self.say("fail", &[], &[]),
        }
    }

    /// Passes a choice on to the person; the words for it are in `arguments`, in base64, which a person needs not see.
    fn confirm(&mut self, question: &str, arguments: &[String]) -> Result<(), Reason> {
        let choice = if arguments.len() > 1 {
            "yes or no"
        } else {
            "yes"
        };
        match self.ask(&format!("{question} ({choice})"), Echo::On)? {
            Some(answer) => {
                let yes = matches!(answer.expose(), [b'y' | b'Y', ..]);
                self.say("ok", &[if yes { "yes" } else { "no" }], &[])
            }
            None => self.say("fail", &[], &[]),
        }
    }

    /// The person's answer; `None` is for the plugin to deal with: it may have another way.
    fn ask(&self, question: &str, echo: Echo) -> Result<Option<Secret>, Reason> {
        let question = format!("{}: {question}", self.plugin.program);
        match terminal::ask(&question, echo, self.context) {
            Ok(answer) => Ok(Some(answer)),
            Err(NoAnswer::Unattended | NoAnswer::NoTerminal | NoAnswer::Declined) => Ok(None),
            Err(none) => {
                let said = self.plugin.says(format!("asked, and {none}"));
                Err(said.transient(none == NoAnswer::TimedOut))
            }
        }
    }

    fn say(&mut self, tag: &str, arguments: &[&str], body: &[u8]) -> Result<(), Reason> {
        // Room for all of it, so that a body which is a person's PIN is not left behind by growing. What the encoder
        // itself makes of it on the way is out of our hands.
        let length = tag.len() + arguments.iter().map(|a| a.len() + 1).sum::<usize>() + 64;
        let buffer = Vec::with_capacity(length + body.len() * 2);
        let written = write::age_stanza(tag, arguments, body)(buffer.into());
        match written {
            Ok(written) => self.say_line(&[Secret::take(written.write).expose()]),
            Err(_) => Err(self.plugin.says("cannot be told what it asked for")),
        }
    }

    fn say_line(&mut self, parts: &[&[u8]]) -> Result<(), Reason> {
        parts
            .iter()
            .try_for_each(|part| self.conversation.say(part))
            .map_err(|problem| self.plugin.says(problem))
    }

    /// The next stanza, its body apart, since that may be a key: one for this one file. The decoder's copy of it in
    /// base64 is out of our hands.
    fn hear(&mut self) -> Result<(Stanza, Secret), Reason> {
        loop {
            match read::age_stanza(self.heard.expose()) {
                Ok((rest, stanza)) => {
                    let mut stanza = Stanza::from(stanza);
                    let body = Secret::take(std::mem::take(&mut stanza.body));
                    let mut later = SecretBuffer::new(LIMIT);
                    let _ = later.extend(rest);
                    self.heard = later;
                    return Ok((stanza, body));
                }
                Err(error) if error.is_incomplete() => {}
                Err(_) => return Err(self.plugin.says("does not follow the age plugin protocol")),
            }
            match self.conversation.hear(&mut self.heard) {
                Ok(false) => {}
                Ok(true) => return Err(self.plugin.says("ended without an answer")),
                Err(Problem::TooLarge) => return Err(self.plugin.says("sent too much output")),
                Err(problem) => return Err(self.plugin.says(problem)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn plugins_are_named_by_their_identities() {
        for (line, name) in [
            ("AGE-PLUGIN-YUBIKEY-1QQQ", Some("yubikey")),
            ("AGE-PLUGIN-FIDO2-HMAC-1QQQ", Some("fido2-hmac")),
            ("AGE-PLUGIN-1-1QQQ", Some("1")),
            ("AGE-PLUGIN--1QQQ", None),
            ("AGE-PLUGIN-X1QQQ", None),
            ("AGE-PLUGIN-../X-1QQQ", None),
            ("AGE-SECRET-KEY-1QQQ", None),
            ("", None),
        ] {
            assert_eq!(super::name(line).as_deref(), name, "{line}");
        }
    }
}
