//! What `list-backends` asks: the server's health, the login, the mount; no secret.

use std::sync::Arc;

use super::api::{Api, Call};
use super::settings::Method;
use super::socket::Patience;
use super::{Setup, no_token};
use crate::backend::{Context, Reason, Status};
use crate::json::Value;

impl Setup {
    /// Asks the server for its health and for the mount, with the token that is there; with `context.login`, logs in.
    pub fn status(&self, api: &Arc<Api>, context: &Context) -> Status {
        let patience = Patience::until(context.deadline);
        if self.settings.auth.method == Method::Token {
            // What the server says of its health may repeat the token, which it knows from elsewhere.
            let _ = self.identity(api, patience);
        }
        let (release, health) = match self.health(api, patience) {
            Ok(health) => health,
            Err(reason) => (String::new(), Err(reason)),
        };
        let tried = match self.settings.auth.method {
            Method::Token => "",
            _ if context.login => "",
            _ => "; the login was not tried: use --login",
        };
        let state = health.and_then(|open| match tried {
            "" => self.check(api, open, patience),
            _ => Ok(()),
        });
        let uses = format!(
            "{}{release}, mount {} ({}{tried})",
            api.address(),
            self.settings.mount,
            self.circumstances()
        );
        match state {
            Ok(()) => Status::ready(uses),
            Err(reason) => Status::failed(uses, reason),
        }
    }

    /// What the server says of itself, for people, and whether it says that it is open: some gateways let nobody ask
    /// for that.
    fn health(
        &self,
        api: &Api,
        patience: Patience,
    ) -> Result<(String, Result<bool, Reason>), Reason> {
        let call = Call {
            path: "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200",
            no_namespace: true,
            ..Call::default()
        };
        let reply = api.call(&call, patience)?;
        let told = reply
            .json()
            .filter(|json| reply.response.status == 200 && json.get("sealed").is_some());
        let Some(health) = told else {
            return match reply.response.status {
                401 | 403 | 404 if reply.json().is_some() => Ok((String::new(), Ok(false))),
                _ => Err(api.refusal(&reply, "the question for its health")),
            };
        };
        let is = |member: &str, word: &[u8]| {
            let value = health.get(member).and_then(Value::field);
            value.is_some_and(|value| value.expose() == word)
        };
        let release = health
            .get("version")
            .and_then(|text| reply.shown_name(text))
            .filter(|text| text.len() < 40 && text.chars().all(|c| c.is_ascii_graphic()))
            .map(|text| format!(", version {text}"))
            .unwrap_or_default();
        if is("initialized", b"false") {
            let reason = Reason::from(format!("{} is not initialized", api.address()));
            return Ok((release, Err(reason.hint("vault operator init"))));
        }
        if !is("sealed", b"false") {
            let reason = Reason::from(format!("{} is sealed", api.address()));
            let release = format!("{release}, sealed");
            let reason = reason.hint("vault operator unseal").transient(true);
            return Ok((release, Err(reason)));
        }
        Ok((format!("{release}, unsealed"), Ok(true)))
    }

    /// Whether a lookup could be made; `open`: the server says that it is unsealed.
    fn check(&self, api: &Arc<Api>, open: bool, patience: Patience) -> Result<(), Reason> {
        let identity = self.identity(api, patience)?;
        let mount = &self.settings.mount;
        match (
            self.reported(api, identity, patience)?.version(),
            self.settings.version,
        ) {
            (Some(found), Some(given)) if found != given => {
                return Err(self.contradiction(found, given));
            }
            (Some(_), _) => return Ok(()),
            (None, _) => {}
        }
        if identity.token.is_none() {
            return Err(no_token(api, mount));
        }
        let call = Call {
            path: "auth/token/lookup-self",
            token: identity.token.as_ref(),
            ..Call::default()
        };
        let reply = api.call(&call, patience)?;
        if reply.says("invalid token") || reply.says("bad token") {
            return Err(self.bad_token(api));
        }
        // A gateway that lets nobody ask for the health lets nobody ask for the mount, either.
        if reply.response.status == 200 && !open {
            return Ok(());
        }
        Err(Reason::from(format!(
            "{} denies everything in {mount}, or has no such mount",
            api.address(),
        ))
        .hint("the token may be wrong, revoked or expired: vault token lookup"))
    }
}
