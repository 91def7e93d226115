//! Tokens: the one that is there, or one got by a login that no person is needed for, and given back afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{Address, encode, encode_path};
use super::api::{Api, Call, Reply};
use super::http::Client;
use super::message::Request;
use super::proxy;
use super::settings::{Auth, Method, official_name, secret_variable, variable};
use super::socket::Patience;
use super::tls::Trust;
use crate::backend::Reason;
use crate::deadline::Deadline;
use crate::file;
use crate::json::Value;
use crate::secret::{Secret, SecretBuffer};
use crate::sys;

/// How long a login that is under way goes on after a signal: its token would be left behind.
const AFTER_SIGNAL: Duration = Duration::from_secs(1);
/// How long giving a token back may take.
const REVOCATION: Duration = Duration::from_secs(2);
/// The largest credential, in bytes.
const FILE_LIMIT: usize = 1 << 20;
/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Who we are to the server.
#[derive(Debug)]
pub struct Identity {
    /// `None`: no one, or whom the agent in between makes of us.
    pub token: Option<Secret>,
    /// Whether it is ours alone, to be given back.
    revocable: bool,
}

/// How one is authenticated, for people: never the token.
pub fn describe(auth: &Auth, agent: bool) -> String {
    match auth.method {
        Method::Token => match official_name("TOKEN") {
            Some(name) => format!("token of {name}"),
            None if token_file().is_some() => "token of ~/.vault-token".to_owned(),
            None if agent => "the agent's token".to_owned(),
            None => "no token".to_owned(),
        },
        method => format!("login by {} at auth/{}", method.word(), auth.mount),
    }
}

impl Identity {
    /// The token that is there by `deadline`, without a login.
    ///
    /// # Errors
    /// One that cannot be used.
    pub fn of_token(deadline: Deadline) -> Result<Identity, Reason> {
        let token = match official_name("TOKEN") {
            Some(name) => secret_variable(name),
            None => token_file()
                .map(|path| file::read(&path, FILE_LIMIT, deadline))
                .transpose()?,
        };
        let token = token.map(trimmed).filter(|token| !token.is_empty());
        if token
            .as_ref()
            .is_some_and(|token| !token.expose().iter().all(u8::is_ascii_graphic))
        {
            return Err("the token has a character that no token has".into());
        }
        Ok(Identity {
            token,
            revocable: false,
        })
    }

    /// Logs in by `auth`.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn log_in(auth: &Auth, api: &Api, patience: Patience) -> Result<Identity, Reason> {
        let role = auth
            .role
            .as_ref()
            .map(|role| Secret::copy_of(role.as_bytes()));
        let credential = |what, variable, file| credential(what, variable, file, patience.deadline);
        let credentials: Vec<(&str, Secret)> = match auth.method {
            Method::Token => return Identity::of_token(patience.deadline),
            Method::AppRole => {
                let role_id = credential(
                    "role_id",
                    "MXM_SECRETS_VAULT_ROLE_ID",
                    auth.role_id_file.as_deref(),
                )?;
                let secret_id = credential(
                    "secret_id",
                    "MXM_SECRETS_VAULT_SECRET_ID",
                    auth.secret_id_file.as_deref(),
                );
                match secret_id {
                    Ok(secret_id) if auth.secret_id_wrapped => vec![
                        ("role_id", role_id),
                        ("secret_id", unwrap(&secret_id, api, patience)?),
                    ],
                    Ok(secret_id) => vec![("role_id", role_id), ("secret_id", secret_id)],
                    // A role may be set up to want none.
                    Err(Missing::NotGiven(_)) => vec![("role_id", role_id)],
                    Err(Missing::Unreadable(reason)) => return Err(reason),
                }
            }
            Method::Jwt => {
                let jwt = match credential("jwt", "MXM_SECRETS_VAULT_JWT", auth.jwt_file.as_deref())
                {
                    Err(Missing::NotGiven(reason)) => {
                        github_actions(auth.audience.as_deref(), patience)?.ok_or(reason)?
                    }
                    jwt => jwt?,
                };
                role.map(|role| ("role", role))
                    .into_iter()
                    .chain([("jwt", jwt)])
                    .collect()
            }
            Method::Kubernetes => {
                let role = role.ok_or_else(|| {
                    Reason::from("no role is given for the login by kubernetes")
                        .hint("set auth.role, or MXM_SECRETS_VAULT_AUTH_ROLE")
                })?;
                let file = auth
                    .jwt_file
                    .as_deref()
                    .unwrap_or(Path::new(SERVICE_ACCOUNT));
                let jwt = credential("jwt", "MXM_SECRETS_VAULT_JWT", Some(file))?;
                vec![("role", role), ("jwt", jwt)]
            }
            Method::Cert => {
                if api.client.trust.identity.is_none() {
                    return Err(Reason::from(
                        "no client certificate is given for the login by cert",
                    )
                    .hint("set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"));
                }
                role.map(|role| ("name", role)).into_iter().collect()
            }
        };
        let body: Vec<(&str, &Secret)> = credentials
            .iter()
            .map(|(name, value)| (*name, value))
            .collect();
        // Only when the request is on its way would stopping leave a token behind.
        api.client
            .connect(patience)
            .map_err(|failure| failure.reason)?;
        let path = format!("auth/{}/login", encode_path(&auth.mount));
        let call = Call {
            path: &path,
            body: Some(&body),
            ..Call::default()
        };
        let patience = Patience {
            after_signal: AFTER_SIGNAL,
            ..patience
        };
        let reply = api
            .call(&call, patience)
            .map_err(|failure| failure.reason)?;
        token_of(&reply).ok_or_else(|| refused(auth, api, &reply))
    }

    /// Gives the token back, if it is from a login. Without it the server forgets the token when its time is over.
    pub fn revoke(&self, api: &Api) {
        let Some(token) = self.token.as_ref().filter(|_| self.revocable) else {
            return;
        };
        let call = Call {
            path: "auth/token/revoke-self",
            token: Some(token),
            body: Some(&[]),
            no_namespace: false,
        };
        let patience = Patience {
            deadline: Deadline::after(REVOCATION),
            after_signal: REVOCATION,
        };
        // No one is left to hear of a failure.
        let _ = api.call(&call, patience);
    }
}

/// The token in the answer to a login.
fn token_of(reply: &Reply) -> Option<Identity> {
    let auth = reply.json()?.get("auth").filter(|auth| auth.is_object())?;
    let token = auth.get("client_token")?.text()?;
    let usable = !token.is_empty() && token.expose().iter().all(u8::is_ascii_graphic);
    // A batch token has no place on the server, and cannot be revoked.
    let batch = auth
        .get("token_type")
        .and_then(Value::text)
        .is_some_and(|kind| kind.expose() == b"batch");
    usable.then_some(Identity {
        token: Some(token),
        revocable: !batch,
    })
}

/// Why a login has not given a token.
fn refused(auth: &Auth, api: &Api, reply: &Reply) -> Reason {
    let what = format!("the login by {} at auth/{}", auth.method.word(), auth.mount);
    let (address, told) = (api.address(), reply.told_after_colon());
    match reply.response.status {
        200 if reply.json().is_some_and(|json| json.get("auth").is_some()) => {
            Reason::from(format!("{what} wants a second factor from a person"))
        }
        200 => Reason::from(format!("{address} answers {what}, but not as Vault does"))
            .hint("check the address: is a proxy or another server there?"),
        404 if reply.json().is_some() => {
            Reason::from(format!("{address} has no auth/{}{told}", auth.mount))
                .hint("check auth.mount and the namespace")
        }
        400 | 401 | 403 if reply.json().is_some() => {
            Reason::from(format!("{address} refuses {what}{told}")).hint(match auth.method {
                Method::AppRole => "the role_id or secret_id may be wrong, expired or used up",
                Method::Cert => "the role must accept the certificate in VAULT_CLIENT_CERT",
                _ => "the role must accept the token: its issuer, audience, subject and time",
            })
        }
        _ => api.refusal(reply, &what),
    }
}

/// The secret_id behind the wrapping token `wrapped`.
fn unwrap(wrapped: &Secret, api: &Api, patience: Patience) -> Result<Secret, Reason> {
    let call = Call {
        path: "sys/wrapping/unwrap",
        token: Some(wrapped),
        body: Some(&[]),
        no_namespace: false,
    };
    let reply = api
        .call(&call, patience)
        .map_err(|failure| failure.reason)?;
    let secret_id = reply
        .data()
        .filter(|_| reply.response.status == 200)
        .map(|data| data.get("secret_id").and_then(Value::text));
    match (secret_id, reply.response.status) {
        (Some(Some(secret_id)), _) => Ok(secret_id),
        (Some(None), _) => Err("what is wrapped is no secret_id".into()),
        (None, 400 | 403) => Err(Reason::from(format!(
            "{} does not unwrap the secret_id{}",
            api.address(),
            reply.told_after_colon()
        ))
        .hint("its wrapping token has expired, or someone has unwrapped it already: find out who")),
        (None, _) => Err(api.refusal(&reply, "the unwrapping of the secret_id")),
    }
}

/// The token that GitHub Actions gives to a workflow that may ask for one; `None` outside of such.
fn github_actions(audience: Option<&str>, patience: Patience) -> Result<Option<Secret>, Reason> {
    let Some((source, url)) = variable(&["ACTIONS_ID_TOKEN_REQUEST_URL"])? else {
        return Ok(None);
    };
    let Some(bearer) = secret_variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN") else {
        return Ok(None);
    };
    let address =
        Address::parse(&url).ok_or_else(|| Reason::from(format!("{source} is no address")))?;
    let mut path = address.path.clone();
    if let Some(audience) = audience {
        path.push_str(if path.contains('?') { "&" } else { "?" });
        path.push_str("audience=");
        encode(audience, &mut path);
    }
    let server = Address {
        path: String::new(),
        ..address
    };
    // It is not Vault: neither its CA nor its proxy nor anything else is meant for this one.
    let mut client = Client::new(server, Trust::default());
    client.proxy = proxy::for_everyone(&client.address)?;
    let mut authorization = SecretBuffer::new(FILE_LIMIT);
    if !(authorization.extend(b"Bearer ") && authorization.extend(bearer.expose())) {
        return Err("ACTIONS_ID_TOKEN_REQUEST_TOKEN is larger than 1 MiB".into());
    }
    let request = Request {
        method: "GET",
        path: &path,
        headers: vec![("Authorization", authorization.expose())],
        body: None,
    };
    let response = client
        .send(&request, patience)
        .map_err(|failure| failure.reason)?;
    let token = Value::parse(response.body.expose())
        .filter(|_| response.status == 200)
        .and_then(|json| json.get("value")?.text());
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(Reason::from(format!(
            "{} gives no token for this workflow: status {}",
            client.address, response.status
        ))
        .hint("the job needs permissions: id-token: write")),
    }
}

/// Why a credential is not there.
enum Missing {
    NotGiven(Reason),
    Unreadable(Reason),
}

impl From<Missing> for Reason {
    fn from(missing: Missing) -> Reason {
        match missing {
            Missing::NotGiven(reason) | Missing::Unreadable(reason) => reason,
        }
    }
}

/// The credential `what`, out of `variable`, else out of `file` by `deadline`.
fn credential(
    what: &str,
    variable: &str,
    file: Option<&Path>,
    deadline: Deadline,
) -> Result<Secret, Missing> {
    let whole = match (secret_variable(variable), file) {
        (Some(value), _) => value,
        (None, Some(file)) => file::read(file, FILE_LIMIT, deadline)
            .map_err(|problem| Missing::Unreadable(problem.into()))?,
        (None, None) => {
            return Err(Missing::NotGiven(
                Reason::from(format!("no {what} is given to log in with"))
                    .hint(format!("set auth.{what}_file, or {variable}")),
            ));
        }
    };
    let credential = trimmed(whole);
    if credential.is_empty() {
        return Err(Missing::Unreadable(
            format!("the {what} to log in with is empty").into(),
        ));
    }
    Ok(credential)
}

fn token_file() -> Option<PathBuf> {
    let home = sys::variable("HOME")?;
    Some(Path::new(&home).join(".vault-token")).filter(|path| path.exists())
}

/// A credential has no blanks at its ends; files and variables may. This is no secret of the user's.
fn trimmed(whole: Secret) -> Secret {
    let bare = whole.expose().trim_ascii();
    if bare.len() == whole.len() {
        return whole;
    }
    Secret::copy_of(bare)
}
