//! The settings of a deployment: read by name from the edge, and checked once, all or nothing.

use std::ops::RangeInclusive;

use http::Uri;

use super::{
    admin::{cursor::CursorKey, operators::Operators},
    answer,
    backends::Credentials,
};
use crate::{
    dpop::NonceKey,
    jwt::{MAX_LIFETIME, Policy, SigningKeys},
    pi::ServerApiKey,
    secret::Secret,
    session::{Lifetimes, RefreshKey},
};

/// The kind of deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Only Pi itself, and only https.
    Production,
    /// Other upstreams and plain http are allowed, too.
    Development,
}

impl Environment {
    /// The name, as the setting has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

/// The routes that a deployment serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// All routes.
    All,
    /// All but those of operators.
    App,
    /// Those of operators and `/health`, for a second deployment that only they can reach.
    Admin,
}

/// Every decision of a deployment.
#[derive(Debug)]
pub struct Settings {
    /// `ENVIRONMENT`
    pub environment: Environment,
    /// `SESSION_ISSUER`, `SESSION_AUDIENCE`: the claims that tokens are issued with, and must have.
    pub policy: Policy,
    /// `SESSION_TTL`, `REFRESH_IDLE_TTL`, `REFRESH_MAX_TTL`: the lifetimes of a session token and
    /// of a session.
    pub lifetimes: Lifetimes,
    /// `MAX_SESSIONS_PER_USER`: one more session revokes the oldest.
    pub max_sessions: u32,
    /// `ALLOWED_ORIGINS`: the web origins that may call, besides the issuer's own.
    pub allowed_origins: Vec<String>,
    /// `SESSION_COOKIE`: whether browsers also get the session as cookies.
    pub cookies: bool,
    /// `RATE_LIMITS`: whether requests are limited.
    pub rate_limits: bool,
    /// `COUNTS`: whether events are counted for the operator.
    pub counts: bool,
    /// `LOG_IDS`: whether the log names users, sessions, orders, payments and ads by their ids.
    pub log_ids: bool,
    /// `LOG_POLLS`: whether successful reads of the feed, the keys and the OpenAPI document, health
    /// checks and preflights are logged.
    pub log_polls: bool,
    /// `PI_API_BASE`: an origin.
    pub pi_api_base: String,
    /// `PI_API_KEY`: the app's key, for payments, ads and notifications.
    pi_api_key: Option<ServerApiKey>,
    /// `RECONCILE_LIMIT`: the most payments of a scheduled run.
    pub reconcile_limit: u32,
    /// `PI_NETWORK`: the network of all payments.
    pub pi_network: String,
    /// `PI_APP_ID`: the app for which access tokens must be issued.
    pub pi_app_id: Option<String>,
    /// `SESSION_KEYS`, and the keys of `SESSION_KEYS_NEXT`, which are only published.
    pub keys: SigningKeys,
    /// `REFRESH_SECRET`: refresh tokens derive from it.
    pub refresh_key: RefreshKey,
    /// Nonces for proofs derive from `REFRESH_SECRET`, too.
    pub(super) nonce_key: NonceKey,
    /// So do the codes of cursors.
    pub(super) cursor_key: CursorKey,
    /// Whether `SESSION_KEYS_NEXT` is set.
    has_next_keys: bool,
    /// `BACKEND_CREDENTIALS`: the backends that may call the backend routes.
    backends: Option<Credentials>,
    /// `OPERATOR_CREDENTIALS`: the operators, if their routes are served.
    pub(super) operators: Option<Operators>,
    /// `SERVES`: the routes that exist.
    pub serves: Serves,
    /// The public document of the keys, made once.
    pub(super) jwks: Jwks,
}

/// The public document of the keys, and its entity tag.
#[derive(Debug)]
pub(super) struct Jwks {
    pub(super) text: String,
    pub(super) etag: String,
}

/// A setting is missing or malformed. The text names the setting, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct Misconfigured {
    /// The setting's name.
    pub setting: &'static str,
    /// The problem and its solution: a text that continues after the name.
    pub problem: String,
}

impl Misconfigured {
    /// Pi refuses the app's key.
    pub(super) fn refused_by_pi() -> Self {
        wrong(
            "PI_API_KEY",
            "was refused by Pi. Set the Server API Key of this app, from Pi's developer portal.",
        )
    }

    fn missing_secret(setting: &'static str) -> Self {
        wrong(setting, &format!("is missing. Run: npx wrangler secret put {setting}"))
    }
}

const PI_API: &str = "https://api.minepi.com";
/// The name of the mainnet, which is also its passphrase. The testnet's is `Pi Testnet`.
const PI_NETWORK: &str = "Pi Network";
/// Short, so that a stolen token soon expires; long enough to save most refreshes.
const DEFAULT_SESSION_TTL: u32 = 600;
/// A week: a user who comes back within it stays signed in.
const DEFAULT_IDLE_TTL: u32 = 7 * 24 * 3600;
/// A month: after it, the user signs in with Pi again.
const DEFAULT_MAX_TTL: u32 = 30 * 24 * 3600;
/// A year. A longer session would be as good as endless.
const MAX_MAX_TTL: u32 = 365 * 24 * 3600;
/// The devices of a person, and a few forgotten ones.
const DEFAULT_MAX_SESSIONS: u32 = 10;
/// A person can still read a list of so many.
const MAX_MAX_SESSIONS: u32 = 100;
/// For each payment, a scheduled run sends up to five requests to Pi and five statements to D1; a
/// payment that fails takes fewer, and one more for its problem. Four statements find the payments,
/// one marks the run, and ten delete old rows, or nine make the hour's numbers instead. Seven
/// payments make 35 requests and 50 statements, and Cloudflare's free plan allows fifty of each. A
/// run every five minutes makes 2,016 payments a day.
pub(super) const DEFAULT_RECONCILE_LIMIT: u32 = 7;
/// A paid plan allows a thousand of each, and a run has no time for more payments: 28,800 a day.
const MAX_RECONCILE_LIMIT: u32 = 100;
const MIN_SESSION_TTL: u32 = 60;
/// Issuer and audience are in every token, whose size is limited.
const MAX_NAME_BYTES: usize = 256;

impl Settings {
    /// Reads all settings. `lookup` returns the text of a var or a secret, or an error if the
    /// setting is not text. An empty text counts as absent.
    ///
    /// # Errors
    /// The first [`Misconfigured`] setting.
    pub fn read(
        lookup: impl Fn(&'static str) -> Result<Option<String>, Misconfigured>,
    ) -> Result<Self, Misconfigured> {
        let optional = |setting| -> Result<Option<String>, Misconfigured> {
            let text = lookup(setting)?.map(|text| text.trim().to_owned());
            Ok(text.filter(|text| !text.is_empty()))
        };
        let var = |setting| {
            let missing = || wrong(setting, "is missing. Add it to [vars] in wrangler.toml.");
            optional(setting)?.ok_or_else(missing)
        };
        let secret =
            |setting| optional(setting)?.ok_or_else(|| Misconfigured::missing_secret(setting));

        let environment = match optional("ENVIRONMENT")?.as_deref() {
            None | Some("production") => Environment::Production,
            Some("development") => Environment::Development,
            Some(_) => {
                return Err(wrong(
                    "ENVIRONMENT",
                    "is not valid. Set it to production or development.",
                ));
            }
        };
        let policy = Policy {
            issuer: web_origin(
                "SESSION_ISSUER",
                &short("SESSION_ISSUER", var("SESSION_ISSUER")?)?,
                environment,
            )?,
            audience: short("SESSION_AUDIENCE", var("SESSION_AUDIENCE")?)?,
            clock_tolerance: Policy::DEFAULT_CLOCK_TOLERANCE,
        };
        let pi_api_base =
            upstream(optional("PI_API_BASE")?.as_deref().unwrap_or(PI_API), environment)?;
        let mut keys =
            SigningKeys::from_jwks(&Secret::new(secret("SESSION_KEYS")?)).map_err(|error| {
                let problem = format!(
                    "cannot be used: {error}. Make a new set with npx pioneer-session keys new."
                );
                wrong("SESSION_KEYS", &problem)
            })?;
        let must_be_secret = |setting, keys: &SigningKeys| {
            if keys.has_known() && environment == Environment::Production {
                let problem = "contains a key that others know (a published test key, or a seed that anybody would guess). Make a new set with npx pioneer-session keys new.";
                return Err(wrong(setting, problem));
            }
            Ok(())
        };
        must_be_secret("SESSION_KEYS", &keys)?;
        let next_keys = optional("SESSION_KEYS_NEXT")?;
        let has_next_keys = next_keys.is_some();
        if let Some(next) = next_keys {
            keys.announce(&Secret::new(next)).map_err(|error| {
                let problem = format!(
                    "cannot be used: {error}. Set it to the output of npx pioneer-session keys rotate --issuer, or delete it."
                );
                wrong("SESSION_KEYS_NEXT", &problem)
            })?;
            must_be_secret("SESSION_KEYS_NEXT", &keys)?;
        }
        let text = keys.all().to_jwks();
        let jwks = Jwks { etag: answer::etag(text.as_bytes()), text };
        let refresh_secret = Secret::new(secret("REFRESH_SECRET")?);
        let derived = RefreshKey::read(&refresh_secret)
            .zip(NonceKey::new(&refresh_secret))
            .zip(CursorKey::new(&refresh_secret));
        let ((refresh_key, nonce_key), cursor_key) = derived.ok_or_else(|| {
            wrong("REFRESH_SECRET", "is not valid. Set it to 32 random bytes or more in base64url.")
        })?;
        let backends = optional("BACKEND_CREDENTIALS")?.map(|text| Credentials::read(&text));
        if backends.as_ref().is_some_and(Option::is_none) {
            let shape = "is not valid. Set it to a JSON object of names, each with the SHA-256 of its credential in 64 hex digits.";
            return Err(wrong("BACKEND_CREDENTIALS", shape));
        }
        let operators = optional("OPERATOR_CREDENTIALS")?.map(|text| Operators::read(&text));
        if operators.as_ref().is_some_and(Option::is_none) {
            let shape = "is not valid. Set it to a JSON object of names, each with an object of sha256, the SHA-256 of a credential of its own in 64 hex digits, and role, viewer or owner.";
            return Err(wrong("OPERATOR_CREDENTIALS", shape));
        }
        let serves = match optional("SERVES")?.as_deref() {
            None | Some("all") => Serves::All,
            Some("app") => Serves::App,
            Some("admin") => Serves::Admin,
            Some(_) => return Err(wrong("SERVES", "is not valid. Set it to all, app or admin.")),
        };
        let pi_api_key = match optional("PI_API_KEY")?
            .map(|text| ServerApiKey::new(Secret::new(text)))
        {
            Some(None) => {
                let shape = "is not valid. Set the Server API Key from Pi's developer portal, without spaces or quotes.";
                return Err(wrong("PI_API_KEY", shape));
            }
            key => key.flatten(),
        };
        let number = |setting, range, default| {
            number(setting, optional(setting)?.as_deref(), range, default)
        };
        let switch = |setting, default| switch(setting, optional(setting)?.as_deref(), default);
        let token = number("SESSION_TTL", MIN_SESSION_TTL..=MAX_LIFETIME, DEFAULT_SESSION_TTL)?;
        let max = number("REFRESH_MAX_TTL", token..=MAX_MAX_TTL, DEFAULT_MAX_TTL)?;
        let idle = number("REFRESH_IDLE_TTL", token..=max, DEFAULT_IDLE_TTL.min(max))?;
        let rate_limits = switch("RATE_LIMITS", true)?;
        if !rate_limits && environment == Environment::Production {
            return Err(wrong(
                "RATE_LIMITS",
                "may be off only with ENVIRONMENT=development. Set it to on.",
            ));
        }
        Ok(Self {
            environment,
            policy,
            lifetimes: Lifetimes { token, idle, max },
            max_sessions: number(
                "MAX_SESSIONS_PER_USER",
                1..=MAX_MAX_SESSIONS,
                DEFAULT_MAX_SESSIONS,
            )?,
            cookies: switch("SESSION_COOKIE", false)?,
            rate_limits,
            counts: switch("COUNTS", true)?,
            log_ids: switch("LOG_IDS", true)?,
            log_polls: switch("LOG_POLLS", false)?,
            allowed_origins: allowed_origins(optional("ALLOWED_ORIGINS")?.as_deref(), environment)?,
            pi_api_base,
            pi_app_id: optional("PI_APP_ID")?,
            pi_api_key,
            reconcile_limit: number(
                "RECONCILE_LIMIT",
                1..=MAX_RECONCILE_LIMIT,
                DEFAULT_RECONCILE_LIMIT,
            )?,
            pi_network: optional("PI_NETWORK")?.unwrap_or_else(|| PI_NETWORK.to_owned()),
            keys,
            refresh_key,
            nonce_key,
            cursor_key,
            has_next_keys,
            backends: backends.flatten(),
            operators: operators.flatten().filter(|_| serves != Serves::App),
            serves,
            jwks,
        })
    }
}

impl Settings {
    /// Calls `each` with every var by name and the value in force: the default where it is not set.
    /// No secret is among them, because each value is written from its own field.
    pub(super) fn vars(&self, each: &mut dyn FnMut(&str, Option<&str>)) {
        let Lifetimes { token, idle, max } = self.lifetimes;
        let serves = match self.serves {
            Serves::All => "all",
            Serves::App => "app",
            Serves::Admin => "admin",
        };
        for (name, value) in [
            ("ENVIRONMENT", Some(self.environment.name())),
            ("SESSION_ISSUER", Some(self.policy.issuer.as_str())),
            ("SESSION_AUDIENCE", Some(self.policy.audience.as_str())),
            ("ALLOWED_ORIGINS", Some(self.allowed_origins.join(",").as_str())),
            ("PI_API_BASE", Some(self.pi_api_base.as_str())),
            ("PI_APP_ID", self.pi_app_id.as_deref()),
            ("PI_NETWORK", Some(self.pi_network.as_str())),
            ("SERVES", Some(serves)),
        ] {
            each(name, value);
        }
        for (name, number) in [
            ("SESSION_TTL", token),
            ("REFRESH_IDLE_TTL", idle),
            ("REFRESH_MAX_TTL", max),
            ("MAX_SESSIONS_PER_USER", self.max_sessions),
            ("RECONCILE_LIMIT", self.reconcile_limit),
        ] {
            each(name, Some(&number.to_string()));
        }
        for (name, is_on) in [
            ("SESSION_COOKIE", self.cookies),
            ("RATE_LIMITS", self.rate_limits),
            ("COUNTS", self.counts),
            ("LOG_IDS", self.log_ids),
            ("LOG_POLLS", self.log_polls),
        ] {
            each(name, Some(if is_on { "on" } else { "off" }));
        }
    }

    /// The secrets by name, and whether each is set.
    pub(super) const fn secrets(&self) -> [(&'static str, bool); 6] {
        [
            ("SESSION_KEYS", true),
            ("SESSION_KEYS_NEXT", self.has_next_keys),
            ("REFRESH_SECRET", true),
            ("PI_API_KEY", self.pi_api_key.is_some()),
            ("BACKEND_CREDENTIALS", self.backends.is_some()),
            ("OPERATOR_CREDENTIALS", self.operators.is_some()),
        ]
    }

    /// The app's key.
    ///
    /// # Errors
    /// [`Misconfigured`] without one.
    pub(super) fn server_api_key(&self) -> Result<&ServerApiKey, Misconfigured> {
        self.pi_api_key.as_ref().ok_or_else(|| Misconfigured::missing_secret("PI_API_KEY"))
    }

    /// The credentials of the app's backends.
    ///
    /// # Errors
    /// [`Misconfigured`] without any.
    pub(super) fn backends(&self) -> Result<&Credentials, Misconfigured> {
        self.backends.as_ref().ok_or_else(|| Misconfigured::missing_secret("BACKEND_CREDENTIALS"))
    }
}

fn wrong(setting: &'static str, problem: &str) -> Misconfigured {
    Misconfigured { setting, problem: problem.to_owned() }
}

fn short(setting: &'static str, text: String) -> Result<String, Misconfigured> {
    if text.len() <= MAX_NAME_BYTES {
        Ok(text)
    } else {
        Err(wrong(setting, "is too long. Use at most 256 characters."))
    }
}

fn number(
    setting: &'static str,
    text: Option<&str>,
    range: RangeInclusive<u32>,
    default: u32,
) -> Result<u32, Misconfigured> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (from, to) = (range.start(), range.end());
    number.ok_or_else(|| {
        wrong(setting, &format!("is not valid. Set it to a whole number from {from} to {to}."))
    })
}

fn switch(setting: &'static str, text: Option<&str>, default: bool) -> Result<bool, Misconfigured> {
    match text {
        None => Ok(default),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(wrong(setting, "is not valid. Set it to on or off.")),
    }
}

fn allowed_origins(
    list: Option<&str>,
    environment: Environment,
) -> Result<Vec<String>, Misconfigured> {
    let origins =
        list.unwrap_or_default().split(',').map(str::trim).filter(|origin| !origin.is_empty());
    origins.map(|origin| web_origin("ALLOWED_ORIGINS", origin, environment)).collect()
}

/// An origin as browsers write it ([RFC 6454] §6.2): lower case, no path, no default port, no
/// slash.
///
/// [RFC 6454]: https://www.rfc-editor.org/rfc/rfc6454
fn web_origin(
    setting: &'static str,
    text: &str,
    environment: Environment,
) -> Result<String, Misconfigured> {
    let (scheme, authority) = origin(text)
        .ok_or_else(|| wrong(setting, "must be an origin such as https://app.example.com."))?;
    if scheme == "http" && environment == Environment::Production {
        return Err(wrong(setting, "must be https. Only ENVIRONMENT=development allows http."));
    }
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    if authority.ends_with(default_port) {
        return Err(wrong(
            setting,
            "must not contain the default port. Leave the port out, as browsers do.",
        ));
    }
    Ok(text.to_owned())
}

/// Pi itself. Only development allows another upstream, so that a simulated Pi never stands in for
/// the real one.
fn upstream(text: &str, environment: Environment) -> Result<String, Misconfigured> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if origin(text).is_none() {
        return Err(wrong("PI_API_BASE", "must be an origin such as https://api.minepi.com."));
    }
    if text != PI_API && environment == Environment::Production {
        return Err(wrong(
            "PI_API_BASE",
            "must be https://api.minepi.com. Only ENVIRONMENT=development allows another upstream.",
        ));
    }
    Ok(text.to_owned())
}

/// The scheme and the authority of a text that is exactly `http(s)://host[:port]` in lower-case
/// ASCII.
fn origin(text: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = text.split_once("://")?;
    let uri: Uri = text.parse().ok()?;
    let parsed = uri.authority()?;
    let plain = authority
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte));
    // A port as browsers write it: without leading zeros.
    let is_port = |port: &str| port.parse().is_ok_and(|number: u16| number.to_string() == port);
    let port = authority.strip_prefix(parsed.host())?;
    let sound = matches!(scheme, "http" | "https")
        && plain
        && parsed.as_str() == authority
        && !parsed.host().is_empty()
        && !parsed.host().ends_with('.')
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    sound.then_some((scheme, authority))
}

#[cfg(test)]
mod tests {
    use super::{Environment, origin, upstream};

    #[test]
    fn u3_only_pi_itself_in_production() {
        for bad in [
            "http://api.minepi.com",
            "http://169.254.169.254",
            "https://api.minepi.com@evil.example",
            "https://api.minepi.com.evil.example",
            "https://api.minepi.com.",
            "https://api.minepi.com:443",
            "https://api.minepi.com:8443",
            "https://api.minepi.com//",
            "https://api.minepi.com/v2",
            "https://API.minepi.com",
            "https://аpi.minepi.com",
            "//evil.example",
            "file:///etc/passwd",
            "http://127.0.0.1:8788",
            "api.minepi.com",
        ] {
            let refused = upstream(bad, Environment::Production).unwrap_err();
            assert_eq!(refused.setting, "PI_API_BASE");
            assert!(!refused.to_string().contains("evil"), "echoes the value");
        }
        assert!(upstream("https://api.minepi.com/", Environment::Production).is_ok());
        assert!(upstream("http://127.0.0.1:8788", Environment::Development).is_ok());
        assert!(upstream("https://api.minepi.com@evil.example", Environment::Development).is_err());
    }

    #[test]
    fn an_origin_is_scheme_and_authority_and_nothing_else() {
        for good in ["https://a.example", "http://localhost:8787", "http://[::1]:8787"] {
            assert!(origin(good).is_some(), "{good}");
        }
        for bad in [
            "https://",
            "https://a/",
            "https://a?b",
            "https://a#b",
            "ftp://a",
            "https://a:",
            "https://a:080",
            "https://a:65536",
            "https://a:b",
            "https://A",
            "*",
            "null",
        ] {
            assert!(origin(bad).is_none(), "{bad}");
        }
    }
}
