//! The age file format, version 1 (c2sp.org/age): the header, its MAC, and the payload.
//!
//! The cryptography and the stanzas are those of the crates that age is made of; who can open a stanza is not known
//! here. The payload is decrypted where the secret will stay, so that there is no copy of it to wipe, and nothing of it
//! leaves this file before all of it has been authenticated.

use age_core::format::{FileKey, Stanza, read::age_stanza};
use age_core::primitives::hkdf;
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::backend::Reason;
use crate::deadline::Deadline;
use crate::secret::{LIMIT, Secret};

/// With these bytes every age file begins, whatever its version.
pub const MAGIC: &[u8] = b"age-encryption.org/";
/// The rest of the first line.
const VERSION: &[u8] = b"v1\n";
/// How the last line of the header begins; the MAC covers all before the blank.
const END: &[u8] = b"--- ";
/// The length of the MAC in base64 without padding.
const MAC_LENGTH: usize = 43;

/// The longest header, in bytes: room for thousands of recipients.
const HEADER: usize = 1 << 20;
/// The most arguments of a stanza. Those of the stanzas that are known are one or two.
const ARGUMENTS: usize = 64;

/// The length of a chunk of the payload, but for the last one, which may be shorter.
const CHUNK: usize = 64 << 10;
/// What authenticates a chunk stands behind it.
const TAG: usize = 16;

/// What is wrong with a file; how a message about it goes on after its name.
pub type Damage = Reason;

/// Of a header that none of its recipients made.
pub const UNAUTHENTIC: &str = "has a damaged header: it does not authenticate";

/// An age file with a header that is well formed. Who made it is not known before it is opened.
pub struct File<'a> {
    stanzas: Vec<Stanza>,
    /// What the MAC covers.
    header: &'a [u8],
    mac: Vec<u8>,
    nonce: &'a [u8],
    payload: &'a [u8],
}

impl<'a> File<'a> {
    /// The parts of the binary form of a file.
    pub fn parse(file: &'a [u8], deadline: Deadline) -> Result<File<'a>, Damage> {
        const SHORT: &str = "is cut short";
        const DAMAGED: &str = "has a damaged header";
        let rest = file.strip_prefix(MAGIC).ok_or("is not an age file")?;
        let rest = expect(rest, VERSION).map_err(|cut| match rest {
            _ if cut => SHORT,
            [b'v', b'1', b'\r', ..] => {
                "was damaged by a conversion of its line ends to CRLF: copy it again, as binary"
            }
            _ => "has an unknown version of the age format",
        })?;
        let (mut rest, beyond) = rest.split_at(rest.len().min(HEADER));
        let short = if beyond.is_empty() {
            SHORT
        } else {
            "has a header larger than 1 MiB"
        };
        let mut stanzas = Vec::new();
        while let Err(cut) = expect(rest, END) {
            in_time(deadline)?;
            let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
            if line.iter().filter(|&&byte| byte == b' ').count() > ARGUMENTS + 1 {
                return Err("has a header with too many arguments".into());
            }
            let (after, stanza) = age_stanza(rest).map_err(|error| match error {
                _ if cut || error.is_incomplete() => short,
                _ => DAMAGED,
            })?;
            stanzas.push(Stanza::from(stanza));
            rest = after;
        }
        let rest = &file[file.len() - beyond.len() - rest.len()..];
        let covered = file.len() - rest.len() + END.trim_ascii_end().len();
        let (mac, rest) = rest.split_at_checked(END.len() + MAC_LENGTH).ok_or(SHORT)?;
        let mac = BASE64_STANDARD_NO_PAD.decode(&mac[END.len()..]);
        let rest = expect(rest, b"\n").map_err(|cut| if cut { SHORT } else { DAMAGED })?;
        let (nonce, payload) = rest.split_at_checked(16).ok_or(SHORT)?;
        let passphrase = stanzas.iter().any(|stanza| stanza.tag == "scrypt");
        if stanzas.is_empty() || passphrase && stanzas.len() > 1 {
            return Err(DAMAGED.into());
        }
        Ok(File {
            stanzas,
            header: &file[..covered],
            mac: mac.map_err(|_| DAMAGED)?,
            nonce,
            payload,
        })
    }

    /// For whom the file is: each holds its key, encrypted for one recipient.
    pub fn stanzas(&self) -> &[Stanza] {
        &self.stanzas
    }

    /// Whether it is a passphrase that opens the file.
    pub fn has_passphrase(&self) -> bool {
        self.stanzas.iter().any(|stanza| stanza.tag == "scrypt")
    }

    /// The plaintext, all of it authenticated.
    pub fn open(&self, key: &FileKey, deadline: Deadline) -> Result<Secret, Damage> {
        let mac_key = hkdf(&[], b"header", key.expose_secret());
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&mac_key).map_err(|_| UNAUTHENTIC)?;
        mac.update(self.header);
        mac.verify_slice(&self.mac).map_err(|_| UNAUTHENTIC)?;
        let payload_key = hkdf(self.nonce, b"payload", key.expose_secret());
        let cipher = ChaCha20Poly1305::new(&payload_key.into());
        decrypt(&cipher, self.payload, deadline)
    }
}

/// Whether there is time to go on.
pub fn in_time(deadline: Deadline) -> Result<(), Damage> {
    deadline
        .go_on()
        .map_err(|ended| ended.before_it_was("decrypted"))
}

/// What follows `prefix` in `input`; or else whether `input` is but a piece of it.
fn expect<'a>(input: &'a [u8], prefix: &[u8]) -> Result<&'a [u8], bool> {
    input
        .strip_prefix(prefix)
        .ok_or_else(|| prefix.starts_with(input))
}

/// The plaintext of the chunks in `payload`, which are counted, and the last of which is marked: none can be left out,
/// repeated, moved or added.
fn decrypt(
    cipher: &ChaCha20Poly1305,
    payload: &[u8],
    deadline: Deadline,
) -> Result<Secret, Damage> {
    const DAMAGED: &str = "is damaged or cut short: its content does not authenticate";
    let chunks = payload.len().div_ceil(CHUNK + TAG);
    // Only a plaintext without a byte has a chunk without one.
    match payload.len() % (CHUNK + TAG) {
        0 if chunks == 0 => return Err(DAMAGED.into()),
        1..TAG => return Err(DAMAGED.into()),
        TAG if chunks > 1 => return Err(DAMAGED.into()),
        _ => {}
    }
    let length = payload.len() - chunks * TAG;
    if length > LIMIT {
        return Err("holds more than 16 MiB".into());
    }
    let mut plain = Secret::take(vec![0; length]);
    let mut places = plain.expose_mut().chunks_mut(CHUNK);
    for (number, chunk) in (1..).zip(payload.chunks(CHUNK + TAG)) {
        in_time(deadline)?;
        let place = places.next().unwrap_or_default();
        let (encrypted, tag) = chunk.split_at(place.len());
        place.copy_from_slice(encrypted);
        cipher
            .decrypt_in_place_detached(&nonce(number, chunks), b"", place, Tag::from_slice(tag))
            .map_err(|_| DAMAGED)?;
    }
    Ok(plain)
}

/// The nonce of chunk `number` of `chunks`, counted from 1: its place in eleven bytes, then the mark of the last one.
fn nonce(number: usize, chunks: usize) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(number as u64 - 1).to_be_bytes());
    nonce[11] = u8::from(number == chunks);
    nonce.into()
}
