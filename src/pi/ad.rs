//! `GET /v2/ads_network/status/{adId}`: whether a rewarded ad was granted. Documented in `ads.md`
//! and `platform_API.md` of <https://github.com/pi-apps/pi-platform-docs>. The answer names no
//! user.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::{Deadline, Error, ServerApiKey, Transport, answer, payment::refused};
use crate::identifier::Identifier;

/// `null` means that the ad network has not answered yet. Pi is asked so often in a row.
const ATTEMPTS: u32 = 3;

/// Whether the reward was granted. Only `granted` counts.
///
/// # Errors
/// Any [`Error`]; [`Error::NotFound`] for an unknown id.
pub async fn is_ad_granted(
    transport: &impl Transport,
    base: &str,
    key: &ServerApiKey,
    id: &Identifier,
) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        let url = format!("{base}/v2/ads_network/status/{id}");
        let request =
            answer::request(Method::GET, url, &key.authorization(), None, Deadline::SHORT)?;
        let response = transport.send(request).await?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(refused(&response, key));
            }
            _ => return Err(answer::other(&response)),
        }
        let status: AdStatusDto = answer::read(&response, "not the status of an ad")?;
        if status.identifier != *id {
            return Err(Error::Unreadable("another ad"));
        }
        if let Some(said) = status.mediator_ack_status {
            return Ok(said == "granted");
        }
    }
    Ok(false)
}

#[derive(Deserialize)]
struct AdStatusDto {
    identifier: Identifier,
    mediator_ack_status: Option<String>,
}
