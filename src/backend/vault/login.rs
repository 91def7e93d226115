//! Tokens: one that is given, or one obtained by a login that needs no person, and revoked afterwards.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::address::{Address, encode, encode_path};
use super::api::{Api, Call, Reply};
use super::http::{self, Client, Warnings};
use super::message::{Request, is_temporary};
use super::proxy;
use super::settings::{Auth, Method, official_name, secret_variable, variable};
use super::socket::Patience;
use super::tls::Trust;
use crate::backend::Reason;
use crate::deadline::{self, Deadline};
use crate::detached::Detached;
use crate::file;
use crate::json::Value;
use crate::secret::{Secret, SecretBuffer};
use crate::sys;
use crate::watch::{self, Until};

/// How long a login may take of which nobody waits for the answer any more: its token must be revoked.
const ABANDONED: Duration = Duration::from_secs(60);
/// How long the end of the process is put off for such a login.
const LATE: Duration = Duration::from_secs(3);
/// How long a revocation may take.
const REVOCATION: Duration = Duration::from_secs(2);
/// The largest credential, in bytes.
const FILE_LIMIT: usize = 1 << 20;
/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Who we are to the server. A token of ours alone is revoked when this is dropped, wherever that happens.
#[derive(Debug)]
pub struct Identity {
    /// `None`: no one, or whom the agent in between makes of us.
    pub token: Option<Secret>,
    /// Where it must be revoked.
    revoke_at: Option<Arc<Api>>,
}

/// Logins whose answers came too late, or may still come.
#[derive(Default)]
pub struct Late(Mutex<Vec<Detached<Result<Identity, Reason>>>>);

impl Drop for Late {
    /// Gives each the time to be answered. What comes of it is dropped, and so revoked: here, or in its own thread.
    fn drop(&mut self) {
        let end = Deadline::after(LATE);
        let logins = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for login in logins.drain(..) {
            while !end.passed() {
                if let Ok(true) = watch::wait(login.done(), Until::Readable, false, end.remaining())
                {
                    let _ = login.result();
                    break;
                }
            }
        }
    }
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
    /// The token that is there by `deadline`, without a login. What is to be said of its file goes to `warnings`.
    ///
    /// # Errors
    /// One that cannot be used.
    pub fn of_token(warnings: &Warnings, deadline: Deadline) -> Result<Identity, Reason> {
        let token = match official_name("TOKEN") {
            Some(name) => secret_variable(&name),
            None => token_file()
                .map(|path| read_key(&path, warnings, deadline))
                .transpose()?,
        };
        let token = token.map(trimmed).filter(|token| !token.is_empty());
        if token
            .as_ref()
            .is_some_and(|token| !token.expose().iter().all(u8::is_ascii_graphic))
        {
            return Err("the token contains invalid characters".into());
        }
        Ok(Identity {
            token,
            revoke_at: None,
        })
    }

    /// Logs in by `auth`.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn log_in(
        auth: &Auth,
        api: &Arc<Api>,
        late: &Late,
        patience: Patience,
    ) -> Result<Identity, Reason> {
        let role = auth
            .role
            .as_ref()
            .map(|role| Secret::copy_of(role.as_bytes()));
        let credential = |what, variable, file| {
            credential(
                what,
                variable,
                file,
                &api.client.warnings,
                patience.deadline,
            )
        };
        let credentials: Vec<(&str, Secret)> = match auth.method {
            Method::Token => {
                let identity = Identity::of_token(&api.client.warnings, patience.deadline)?;
                api.know(identity.token.iter().map(Secret::expose));
                return Ok(identity);
            }
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
        // Only when the request is on its way would stopping leave a token behind.
        api.client.connect(patience)?;
        let (auth, reach) = (auth.clone(), api.clone());
        let login = Detached::begin(move || {
            let body: Vec<(&str, &Secret)> = credentials
                .iter()
                .map(|(name, value)| (*name, value))
                .collect();
            let call = Call {
                path: &format!("auth/{}/login", encode_path(&auth.mount)),
                body: Some(&body),
                once: true,
                ..Call::default()
            };
            let reply = reach.call(&call, Patience::whatever_comes(ABANDONED))?;
            token_of(&reply, &reach).ok_or_else(|| refused(&auth, &reach, &reply))
        })
        .map_err(|error| Reason::of("cannot start the login", &error))?;
        if api.client.limited(patience).wait(login.done()).is_err() {
            let logins = late.0.lock();
            logins.unwrap_or_else(PoisonError::into_inner).push(login);
            return Err(match deadline::interrupted() {
                true => "interrupted".into(),
                false => http::late(api.address()),
            });
        }
        login
            .result()
            .unwrap_or_else(|error| Err(error.to_string().into()))
    }
}

impl Drop for Identity {
    /// Without it the server forgets the token when its time is over. Nobody is left to hear of a failure.
    fn drop(&mut self) {
        if let (Some(token), Some(api)) = (&self.token, &self.revoke_at) {
            let call = Call {
                path: "auth/token/revoke-self",
                token: Some(token),
                body: Some(&[]),
                ..Call::default()
            };
            let _ = api.call(&call, Patience::whatever_comes(REVOCATION));
        }
    }
}

/// The token in the answer to a login.
fn token_of(reply: &Reply, api: &Arc<Api>) -> Option<Identity> {
    let auth = reply.json()?.get("auth").filter(|auth| auth.is_object())?;
    let token = auth.get("client_token")?.text()?;
    let usable = !token.is_empty() && token.expose().iter().all(u8::is_ascii_graphic);
    // A batch token has no place on the server, and cannot be revoked.
    let batch = auth
        .get("token_type")
        .and_then(Value::text)
        .is_some_and(|kind| kind.expose() == b"batch");
    usable.then(|| Identity {
        token: Some(token),
        revoke_at: (!batch).then(|| api.clone()),
    })
}

/// Why a login has not given a token.
fn refused(auth: &Auth, api: &Api, reply: &Reply) -> Reason {
    let what = format!("the login by {} at auth/{}", auth.method.word(), auth.mount);
    let (address, told) = (api.address(), reply.told_after_colon());
    match reply.response.status {
        200 if reply.json().is_some_and(|json| json.get("auth").is_some()) => {
            Reason::from(format!("{what} requires a second factor from a person"))
        }
        200 => Reason::from(format!(
            "{address} did not answer {what} like a Vault server"
        ))
        .hint("check the address: is a proxy or another server there?"),
        404 if reply.json().is_some() => {
            Reason::from(format!("{address} has no auth/{}{told}", auth.mount))
                .hint("check auth.mount and the namespace")
        }
        400 | 401 | 403 if reply.json().is_some() => {
            Reason::from(format!("{address} refuses {what}{told}")).hint(match auth.method {
                _ if reply.says("could not be found") => "check auth.role",
                _ if reply.response.status == 403 => {
                    "check auth.mount and the namespace; vault auth list names the mounts"
                }
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
        once: true,
        ..Call::default()
    };
    api.client.connect(patience)?;
    let reply = api.call(&call, patience).map_err(|reason| {
        let hint = "it may be unwrapped all the same: create a new wrapped secret_id";
        reason.hint(hint).transient(false)
    })?;
    let secret_id = reply
        .data()
        .filter(|_| reply.response.status == 200)
        .map(|data| data.get("secret_id").and_then(Value::text));
    match (secret_id, reply.response.status) {
        (Some(Some(secret_id)), _) => Ok(secret_id),
        (Some(None), _) => Err("the wrapped response does not contain a secret_id".into()),
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
        Address::parse(&url).ok_or_else(|| Reason::from(format!("{source} is not an address")))?;
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
        once: false,
    };
    let response = client.send(&request, patience)?;
    let token = Value::parse(response.body.expose(), Some(patience.deadline))
        .filter(|_| response.status == 200)
        .and_then(|json| json.get("value")?.text());
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(Reason::from(format!(
            "{} gives no token for this workflow: status {}",
            client.address, response.status
        ))
        .hint("the job needs permissions: id-token: write")
        .transient(is_temporary(response.status))),
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
    warnings: &Warnings,
    deadline: Deadline,
) -> Result<Secret, Missing> {
    let whole = match (secret_variable(variable), file) {
        (Some(value), _) => value,
        (None, Some(file)) => read_key(file, warnings, deadline).map_err(Missing::Unreadable)?,
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

fn read_key(path: &Path, warnings: &Warnings, deadline: Deadline) -> Result<Secret, Reason> {
    let (key, exposed) = file::read_key(path, FILE_LIMIT, deadline)?;
    // The rights of this one are the kubelet's choice.
    if path != Path::new(SERVICE_ACCOUNT) {
        warnings.add(exposed);
    }
    Ok(key)
}

fn token_file() -> Option<PathBuf> {
    Some(sys::home()?.join(".vault-token")).filter(|path| path.exists())
}

/// A credential has no blanks at its ends; files and variables may. This is no secret of the user's.
fn trimmed(whole: Secret) -> Secret {
    let bare = whole.expose().trim_ascii();
    if bare.len() == whole.len() {
        return whole;
    }
    Secret::copy_of(bare)
}
