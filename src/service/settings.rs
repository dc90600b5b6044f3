//! The settings: read by name from wherever the edge keeps them, checked once, all or nothing.

use http::Uri;

use crate::{
    jwt::{MAX_LIFETIME, Policy, SigningKeys},
    secret::Secret,
};

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Pi itself, over https, and nothing else.
    Production,
    /// Also other upstreams, and plain http.
    Development,
}

/// Everything that a deployment decides.
#[derive(Debug)]
pub struct Settings {
    /// `ENVIRONMENT`
    pub environment: Environment,
    /// `SESSION_ISSUER`, `SESSION_AUDIENCE`: what tokens say, and what is required of them here.
    pub policy: Policy,
    /// `SESSION_TTL`: lifetime of a session token, seconds.
    pub session_ttl: u32,
    /// `MAX_SESSIONS_PER_USER`: the oldest is ended when one more begins.
    pub max_sessions: u32,
    /// `ALLOWED_ORIGINS`: the web origins that may call, besides the issuer's own.
    pub allowed_origins: Vec<String>,
    /// `PI_API_BASE`: an origin.
    pub pi_api_base: String,
    /// `PI_APP_ID`: the app that access tokens must be made for.
    pub pi_app_id: Option<String>,
    /// `SESSION_KEYS`
    pub keys: SigningKeys,
    /// The public document of the keys, made once.
    pub(super) jwks: super::keys::Document,
}

/// A setting is missing or malformed. It names the setting, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct Misconfigured {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong, in words that continue the name.
    pub problem: String,
}

const PI_API: &str = "https://api.minepi.com";
/// Short enough that a stolen token is soon worth nothing, long enough not to renew all the time.
const DEFAULT_SESSION_TTL: u32 = 600;
/// A person's devices, and some forgotten ones.
const DEFAULT_MAX_SESSIONS: u32 = 10;
/// A list that a person can still look through.
const MAX_MAX_SESSIONS: u32 = 100;
const MIN_SESSION_TTL: u32 = 60;
/// Issuer and audience are in every token, which has a size to keep.
const MAX_NAME_BYTES: usize = 256;

impl Settings {
    /// Reads all settings. `lookup` gives the text of a var or a secret, or says that there is something
    /// else than text under its name; empty counts as absent.
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
        let required = |setting| optional(setting)?.ok_or_else(|| wrong(setting, "is missing"));

        let environment = match optional("ENVIRONMENT")?.as_deref() {
            None | Some("production") => Environment::Production,
            Some("development") => Environment::Development,
            Some(_) => return Err(wrong("ENVIRONMENT", "must be production or development")),
        };
        let policy = Policy {
            issuer: web_origin(
                "SESSION_ISSUER",
                &short("SESSION_ISSUER", required("SESSION_ISSUER")?)?,
                environment,
            )?,
            audience: short("SESSION_AUDIENCE", required("SESSION_AUDIENCE")?)?,
            clock_tolerance: Policy::DEFAULT_CLOCK_TOLERANCE,
        };
        let pi_api_base =
            upstream(optional("PI_API_BASE")?.as_deref().unwrap_or(PI_API), environment)?;
        let keys = SigningKeys::from_jwks(&Secret::new(required("SESSION_KEYS")?))
            .map_err(|error| wrong("SESSION_KEYS", &format!("cannot be used: {error}")))?;
        let jwks = super::keys::Document::new(&keys);
        Ok(Self {
            environment,
            policy,
            session_ttl: session_ttl(optional("SESSION_TTL")?.as_deref())?,
            max_sessions: max_sessions(optional("MAX_SESSIONS_PER_USER")?.as_deref())?,
            allowed_origins: allowed_origins(optional("ALLOWED_ORIGINS")?.as_deref(), environment)?,
            pi_api_base,
            pi_app_id: optional("PI_APP_ID")?,
            keys,
            jwks,
        })
    }
}

fn wrong(setting: &'static str, problem: &str) -> Misconfigured {
    Misconfigured { setting, problem: problem.to_owned() }
}

fn short(setting: &'static str, text: String) -> Result<String, Misconfigured> {
    if text.len() <= MAX_NAME_BYTES {
        Ok(text)
    } else {
        Err(wrong(setting, "must have at most 256 characters"))
    }
}

fn session_ttl(text: Option<&str>) -> Result<u32, Misconfigured> {
    let Some(text) = text else { return Ok(DEFAULT_SESSION_TTL) };
    text.parse()
        .ok()
        .filter(|seconds| (MIN_SESSION_TTL..=MAX_LIFETIME).contains(seconds))
        .ok_or_else(|| wrong("SESSION_TTL", "must be whole seconds from 60 to 3600"))
}

fn max_sessions(text: Option<&str>) -> Result<u32, Misconfigured> {
    let Some(text) = text else { return Ok(DEFAULT_MAX_SESSIONS) };
    text.parse()
        .ok()
        .filter(|count| (1..=MAX_MAX_SESSIONS).contains(count))
        .ok_or_else(|| wrong("MAX_SESSIONS_PER_USER", "must be a whole number from 1 to 100"))
}

fn allowed_origins(
    list: Option<&str>,
    environment: Environment,
) -> Result<Vec<String>, Misconfigured> {
    let origins =
        list.unwrap_or_default().split(',').map(str::trim).filter(|origin| !origin.is_empty());
    origins.map(|origin| web_origin("ALLOWED_ORIGINS", origin, environment)).collect()
}

/// An origin as browsers write it ([RFC 6454] §6.2): lower case, no path, no default port, no slash.
///
/// [RFC 6454]: https://www.rfc-editor.org/rfc/rfc6454
fn web_origin(
    setting: &'static str,
    text: &str,
    environment: Environment,
) -> Result<String, Misconfigured> {
    let (scheme, authority) = origin(text)
        .ok_or_else(|| wrong(setting, "must be an origin such as https://app.example.com"))?;
    if scheme == "http" && environment == Environment::Production {
        return Err(wrong(setting, "must be https (http is for ENVIRONMENT=development)"));
    }
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    if authority.ends_with(default_port) {
        return Err(wrong(setting, "must leave out the default port, as browsers do"));
    }
    Ok(text.to_owned())
}

/// Pi itself; elsewhere only in development, so that a simulated Pi can never speak for a real one.
fn upstream(text: &str, environment: Environment) -> Result<String, Misconfigured> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if origin(text).is_none() {
        return Err(wrong("PI_API_BASE", "must be an origin such as https://api.minepi.com"));
    }
    if text != PI_API && environment == Environment::Production {
        return Err(wrong(
            "PI_API_BASE",
            "must be https://api.minepi.com (another upstream is for ENVIRONMENT=development)",
        ));
    }
    Ok(text.to_owned())
}

/// Scheme and authority of a text that is exactly `http(s)://host[:port]` in lower-case ASCII.
fn origin(text: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = text.split_once("://")?;
    let uri: Uri = text.parse().ok()?;
    let parsed = uri.authority()?;
    let plain = authority
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte));
    let sound = matches!(scheme, "http" | "https")
        && plain
        && parsed.as_str() == authority
        && !parsed.host().is_empty()
        && !parsed.host().ends_with('.')
        && (parsed.port_u16().is_some() || !authority.ends_with(':'));
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
            "https://A",
            "*",
            "null",
        ] {
            assert!(origin(bad).is_none(), "{bad}");
        }
    }
}
