//! vault: whatever is damaged, the answer is the right value, failed, or, only where the store truly lacks it, missing.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::Transcript;
use crate::support::vault::{Scripted, answer};

const VALUE: &str = "right-value-7f3a";
/// What Vault says of a path that an engine of version 2 does not have, and of a version that is not a number.
const WARNING: &str = r#"{"request_id":"1","lease_duration":0,"data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."],"auth":null}"#;
const NO_NUMBER: &str = r#"{"errors":["Field validation failed: error converting input for field \"version\": cannot parse '' as int: strconv.ParseInt: parsing \"none\": invalid syntax"]}"#;

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What is asked of which store.
#[derive(Clone, Copy, Debug)]
struct Case {
    engine: u8,
    /// What the store has: the secret, nothing, or (version 2) one that was deleted.
    has: &'static str,
    /// What the configuration says.
    mount: &'static str,
    version: &'static str,
    name: &'static str,
    /// The status of all below sys/, if a gateway lets nobody there.
    gateway: Option<u16>,
}

impl Case {
    fn by(chance: &mut Chance) -> Case {
        let engine = chance.of(&[1, 2]);
        Case {
            engine,
            has: match engine {
                1 => chance.of(&["it", "it", "nothing"]),
                _ => chance.of(&["it", "it", "nothing", "deleted"]),
            },
            mount: chance.of(&["kv", "kv", "kv", "kv", "kv/data", "kv/prod", "kv/metadata"]),
            version: chance.of(&["auto", "auto", "1", "2"]),
            name: chance.of(&["prod/api-key", "prod/api-key", "prod/api-key#value"]),
            gateway: chance.of(&[None, None, None, Some(403), Some(404)]),
        }
    }

    /// Whether it may be called missing: the engine that is meant has no such secret, as far as the configuration is
    /// right. Where nobody may ask for the mount, version 1 has no other notion of one than a path, which is not there.
    fn may_be_missing(self) -> bool {
        let engine = self.engine.to_string();
        let unseen = self.gateway.is_some() && self.engine == 1 && self.version == "1";
        match self.mount {
            "kv" => self.has != "it" && [engine.as_str(), "auto"].contains(&self.version),
            "kv/prod" => unseen,
            _ => false,
        }
    }

    /// What the undamaged server answers.
    fn answer(self, path: &str) -> (u16, String) {
        let nothing = (404, r#"{"errors":[]}"#.to_owned());
        if let Some(mount) = path.strip_prefix("/v1/sys/internal/ui/mounts/") {
            return match (self.gateway, mount.starts_with("kv")) {
                (Some(status), _) => (status, r#"{"errors":["permission denied"]}"#.to_owned()),
                (None, false) => (403, r#"{"errors":["permission denied"]}"#.to_owned()),
                (None, true) => {
                    let options = format!(r#"{{"version":"{}"}}"#, self.engine);
                    (
                        200,
                        format!(
                            r#"{{"request_id":"1","lease_duration":0,"data":{{"accessor":"kv_1","options":{options},"path":"kv/","type":"kv"}}}}"#
                        ),
                    )
                }
            };
        }
        let Some(path) = path.strip_prefix("/v1/kv/") else {
            return (404, r#"{"errors":["no handler for route"]}"#.to_owned());
        };
        let path = match (path.strip_suffix("?version=none"), self.engine) {
            (Some(_), 2) => return (400, NO_NUMBER.to_owned()),
            (whole, _) => whole.unwrap_or(path),
        };
        let fields = format!(r#"{{"value":"{VALUE}"}}"#);
        let metadata = |time: &str| {
            format!(
                r#"{{"created_time":"2026","deletion_time":"{time}","destroyed":false,"version":1}}"#
            )
        };
        match (self.engine, path.strip_prefix("data/"), self.has) {
            (1, _, "it") if path == "prod/api-key" => (
                200,
                format!(
                    r#"{{"request_id":"1","lease_duration":2764800,"data":{fields},"auth":null}}"#
                ),
            ),
            (1, ..) => nothing,
            (_, Some("prod/api-key"), "it") => (
                200,
                format!(
                    r#"{{"request_id":"1","lease_duration":0,"data":{{"data":{fields},"metadata":{}}},"auth":null}}"#,
                    metadata("")
                ),
            ),
            (_, Some("prod/api-key"), "deleted") => (
                404,
                format!(
                    r#"{{"request_id":"1","lease_duration":0,"data":{{"data":null,"metadata":{}}},"auth":null}}"#,
                    metadata("2026")
                ),
            ),
            (_, Some(_), _) => nothing,
            (_, None, _) => (404, WARNING.to_owned()),
        }
    }
}

/// `answer`, damaged in one of many ways; never in the fields of the secret, of which any may be the right one.
fn damaged(chance: &mut Chance, case: Case, path: &str) -> Vec<u8> {
    let (mut status, mut body) = case.answer(path);
    let is_mount = path.starts_with("/v1/sys/");
    match chance.below(7) {
        0 => {
            let mut whole = answer(status, &body).into_bytes();
            whole.truncate(chance.below(whole.len()));
            return whole;
        }
        1 | 2 => {
            let mut whole = answer(status, &body).into_bytes();
            let text = String::from_utf8(whole.clone()).unwrap();
            let start = text.find(r#"{"value":"#).unwrap_or(whole.len());
            let end = text.find(VALUE).map_or(start, |at| at + VALUE.len() + 2);
            for _ in 0..=chance.below(3) {
                let at = chance.below(whole.len());
                if !(start..end).contains(&at) {
                    whole[at] ^= 1 << chance.below(8);
                }
            }
            return whole;
        }
        3 => {
            // A member becomes null, or goes.
            let members = [
                "data",
                "metadata",
                "options",
                "version",
                "path",
                "type",
                "errors",
                "warnings",
                "deletion_time",
            ];
            let member = format!("\"{}\":", chance.of(&members));
            if let Some(at) = body.rfind(&member) {
                let value = at + member.len();
                let end = value + length(&body[value..]);
                let other = chance.of(&["null", "\"\"", "[]", "{}", "0", "false"]);
                let empties_the_secret = body[value..end].contains(VALUE) && other == "{}";
                if !empties_the_secret {
                    body.replace_range(value..end, other);
                }
            }
        }
        4 => status = chance.of(&[200, 204, 301, 400, 401, 403, 404, 410, 412, 429, 500, 503]),
        5 => {
            let junk = [
                "",
                "null",
                "[]",
                "{}",
                "<html>",
                "{\"errors\":null}",
                "{\"errors\":\"\"}",
                "{\"errors\":{}}",
                "{\"data\":null}",
                "\"\"",
                "0",
            ];
            body = chance.of(&junk).to_owned();
        }
        _ => {
            // The answer to another question, where it can be told from one to this.
            if (case.engine == 2 && case.version != "1") || !case.name.contains('#') {
                let other = match is_mount {
                    true => "/v1/kv/data/prod/api-key",
                    false => "/v1/sys/internal/ui/mounts/kv",
                };
                (status, body) = case.answer(other);
            }
        }
    }
    answer(status, &body).into_bytes()
}

/// The length of the JSON value that `text` begins with.
fn length(text: &str) -> usize {
    let (mut depth, mut quoted) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' | ',' if !quoted && depth == 0 => return at,
            '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn no_damage_makes_a_miss_of_a_secret_that_is_there() {
    let count = std::env::var("MXM_SECRETS_DAMAGES").map_or(50, |count| count.parse().unwrap());
    let state = Arc::new(Mutex::new((Case::by(&mut Chance(1)), 0, Chance(0))));
    let shared = state.clone();
    let server = Scripted::start(move |request, stream| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let mut state = shared.lock().unwrap();
        let (case, target, chance) = &mut *state;
        // Which of the answers is damaged: the mount's, the secret's, or all.
        let hit = match target {
            0 => path.starts_with("/v1/sys/"),
            1 => path.starts_with("/v1/kv/"),
            2 => true,
            _ => false,
        };
        let reply = match hit {
            true => damaged(chance, *case, path),
            false => {
                let (status, body) = case.answer(path);
                answer(status, &body).into_bytes()
            }
        };
        let _ = stream.write_all(&reply);
    });
    let mut seen = [0_u32; 5];
    for number in 0..count {
        let mut chance = Chance(number * 7919 + 17);
        let case = Case::by(&mut chance);
        *state.lock().unwrap() = (case, chance.below(4), chance);
        let mut home = server.home();
        home.set("MXM_SECRETS_VAULT_MOUNT", case.mount)
            .set("MXM_SECRETS_VAULT_KV_VERSION", case.version);
        let Transcript {
            status,
            stdout,
            stderr,
        } = home.run([
            "get",
            "--timeout",
            "20",
            "--default",
            "the-default",
            case.name,
        ]);
        let status = status.unwrap();
        let told = String::from_utf8_lossy(&stdout);
        let right = match status {
            0 => told.trim_end() == VALUE && case.has == "it",
            3 => case.may_be_missing() && told.trim_end() == "the-default",
            4 => stdout.is_empty(),
            _ => false,
        };
        assert!(right, "{number}: {case:?}: {status} {told:?} {stderr}");
        assert!(!stderr.contains(VALUE), "{number}: {stderr}");
        seen[usize::try_from(status).unwrap()] += 1;
    }
    // It is worth something only if all of them are seen.
    assert!(seen[0] > 0 && seen[3] > 0 && seen[4] > 0, "{seen:?}");
    let _ = writeln!(std::io::stderr(), "damages of vault: {count}: {seen:?}");
}
