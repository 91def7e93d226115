//! HashiCorp Vault and OpenBao: `prod/api-key` is the field `value` of the path `prod/api-key` in a KV engine.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings` | the environment of the official clients, and the section of the configuration |
//! | `read` | a lookup: one or two reads, and what the answers mean |
//! | `mount` | what the server reports of the mount, without which little is known to be missing |
//! | `status` | what `list-backends` asks |
//! | `shared` | what all lookups need and one of them finds out |
//! | `login` | tokens: given, or obtained by a login and revoked afterwards |
//! | `api` | one call of Vault's API, what a refusal means, and what may be shown of an answer |
//! | `http` | connections opened and kept, redirects, retries |
//! | `message` | requests and answers as bytes |
//! | `proxy`, `address` | where to connect to |
//! | `tls`, `socket` | the bytes of a connection, with a deadline |

mod address;
mod api;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod login;
mod message;
mod mount;
mod proxy;
mod read;
mod settings;
mod shared;
mod socket;
mod status;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use self::api::Api;
use self::http::Client;
use self::login::{Identity, Late};
use self::mount::Reported;
use self::settings::{KEYS, Settings, VARIABLES, Version};
use self::shared::Shared;
use self::socket::Patience;
use super::{Answer, Backend, Context, Declaration, NoStore, Reason, Status};
use crate::name::Name;
use crate::schema::Section;
use crate::watch::Watch;

pub const DECLARATION: Declaration = Declaration {
    keys: KEYS,
    variables: VARIABLES,
    open: |section| Box::new(Vault::open(section)),
};

struct Vault {
    /// What is set up; an error is reported when it is asked.
    setup: Result<Setup, Reason>,
}

struct Setup {
    settings: Settings,
    /// `None`: no address is given.
    api: Option<Arc<Api>>,
    /// Logins that were given up, before `identity`: its revocation goes last.
    late: Late,
    identity: Shared<Identity>,
    /// What the server reports of the mount.
    reported: Shared<Reported>,
    /// The version that a read has shown.
    seen: OnceLock<Version>,
    /// How many lookups are under way.
    asking: AtomicUsize,
    warned: AtomicBool,
    /// Who we are, for people: never the token.
    who: OnceLock<String>,
    /// From the first question on, and last, since there may be a token to give back.
    watch: OnceLock<Watch>,
}

impl Vault {
    fn open(section: &Section) -> Vault {
        Vault {
            setup: Settings::read(section).and_then(Setup::new),
        }
    }

    /// What to ask, or the answer when there is nothing to ask.
    fn ready(&self) -> Result<(&Setup, &Arc<Api>), Answer> {
        let setup = self
            .setup
            .as_ref()
            .map_err(|reason| Answer::failed(reason.clone()))?;
        match &setup.api {
            Some(api) => Ok((setup, api)),
            None => Err(Answer::unavailable(NoStore::NotConfigured, no_address())),
        }
    }
}

fn no_address() -> Reason {
    Reason::from("no address of a Vault server is given")
        .hint("set VAULT_ADDR, or address in the section vault of the configuration")
}

fn no_token(api: &Api, place: &str) -> Reason {
    Reason::from(format!(
        "{} denies {place}: no token is given",
        api.address()
    ))
    .hint("set VAULT_TOKEN, run `vault login`, or configure a login with auth.method")
}

impl Backend for Vault {
    fn locator(&self, name: &Name) -> String {
        match &self.setup {
            Ok(setup) => setup.locator(name, None),
            Err(_) => name.to_string(),
        }
    }

    fn ask(&self, name: &Name, context: &Context) -> Answer {
        let (setup, api) = match self.ready() {
            Ok(ready) => ready,
            Err(answer) => return answer,
        };
        setup.begin(context);
        setup.asking.fetch_add(1, Ordering::SeqCst);
        let answer = setup.look_up(api, name, Patience::until(context.deadline));
        api.client.warnings.take().iter().for_each(context.warn);
        if setup.asking.fetch_sub(1, Ordering::SeqCst) == 1 {
            setup.identity.forget_failure();
            setup.reported.forget_failure();
        }
        answer.unwrap_or_else(Answer::Failed)
    }

    fn status(&self, context: &Context) -> Status {
        let (setup, api) = match self.ready() {
            Ok(ready) => ready,
            Err(answer) => return Status::of("", answer),
        };
        setup.begin(context);
        let status = setup.status(api, context);
        api.client.warnings.take().iter().for_each(context.warn);
        status
    }
}

impl Setup {
    fn new(mut settings: Settings) -> Result<Setup, Reason> {
        let api = match settings.address.clone() {
            None => None,
            Some(address) => {
                let mut client = Client::new(address, settings.trust.clone());
                client.proxy = proxy::for_vault(&client.address)?;
                client.retries = settings.retries;
                client.redirects = settings.redirects;
                client.timeout = settings.timeout;
                let headers = std::mem::take(&mut settings.headers);
                let namespace = settings.namespace.clone();
                Some(Arc::new(Api::new(client, namespace, headers)))
            }
        };
        Ok(Setup {
            settings,
            api,
            late: Late::default(),
            identity: Shared::new(),
            reported: Shared::new(),
            seen: OnceLock::new(),
            asking: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
            who: OnceLock::new(),
            watch: OnceLock::new(),
        })
    }

    /// Before each question.
    fn begin(&self, context: &Context) {
        self.watch.get_or_init(Watch::signals);
        if self.settings.trust.skip_verify && !self.warned.swap(true, Ordering::Relaxed) {
            (context.warn)(
                &Reason::from("vault: the server's certificate is not verified")
                    .hint("unset VAULT_SKIP_VERIFY, and name the CA with VAULT_CACERT"),
            );
        }
    }

    /// The path of `name` below the mount.
    fn path(&self, name: &Name) -> String {
        match self.settings.prefix.as_str() {
            "" => name.path().to_owned(),
            prefix => format!("{prefix}/{}", name.path()),
        }
    }

    /// `MOUNT/PATH#FIELD at ADDRESS (namespace N, KV v2, token of VAULT_TOKEN)`.
    fn locator(&self, name: &Name, field: Option<&str>) -> String {
        let field = field.or(name.field()).unwrap_or(&self.settings.field);
        let place = format!("{}/{}#{field}", self.settings.mount, self.path(name));
        match &self.api {
            Some(api) => format!("{place} at {} ({})", api.address(), self.circumstances()),
            None => place,
        }
    }

    /// Namespace, version and identity, as far as they are known.
    fn circumstances(&self) -> String {
        let namespace = self
            .settings
            .namespace
            .as_ref()
            .map(|namespace| format!("namespace {namespace}, "))
            .unwrap_or_default();
        let version = match self.version() {
            Some(version) => format!("KV v{}, ", version as u8),
            None => String::new(),
        };
        format!("{namespace}{version}{}", self.who())
    }

    fn who(&self) -> &str {
        let describe = || login::describe(&self.settings.auth, self.settings.agent);
        self.who.get_or_init(describe)
    }

    /// The version of the engine, as far as it is known.
    fn version(&self) -> Option<Version> {
        let reported = || self.reported.found.get()?.version();
        let seen = || self.seen.get().copied();
        self.settings.version.or_else(reported).or_else(seen)
    }

    fn bad_token(&self, api: &Api) -> Reason {
        let (who, address) = (self.who(), api.address());
        Reason::from(format!(
            "{address} does not know the {who}: it is wrong, revoked or expired"
        ))
        .hint("run `vault login`, or set VAULT_TOKEN")
    }

    /// Who we are; the first one to ask logs in.
    fn identity(&self, api: &Arc<Api>, patience: Patience) -> Result<&Identity, Reason> {
        self.identity
            .get(|| Identity::log_in(&self.settings.auth, api, &self.late, patience))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::deadline::Deadline;

    /// Answers everything as an engine of version 2 that has one secret, on this port.
    fn serve(listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap_or(0);
                let body = match request[..count].windows(5).any(|part| part == b"/sys/") {
                    true => r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
                    false => r#"{"data":{"data":{"value":"v"},"metadata":{}}}"#,
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            }
        });
    }

    #[test]
    fn an_open_vault_tries_again_what_has_failed() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut settings = Settings::read(&Section::default()).unwrap();
        settings.address = address::Address::parse(&format!("http://127.0.0.1:{port}"));
        let vault = Vault {
            setup: Setup::new(settings),
        };
        let context = Context {
            deadline: Deadline::after(std::time::Duration::from_secs(20)),
            unattended: true,
            login: false,
            withheld: &[],
            warn: &|_| {},
        };
        let name = Name::parse("a").unwrap();
        assert!(matches!(vault.ask(&name, &context), Answer::Failed(_)));
        serve(TcpListener::bind(("127.0.0.1", port)).unwrap());
        assert!(matches!(vault.ask(&name, &context), Answer::Hit { .. }));
    }
}
