//! `POST /v2/in_app_notifications/notify`: messages in the Pi app. Documented in the newer
//! `platform_API.md` of <https://github.com/pi-apps/pi-platform-docs>. Delivery is best effort:
//! users who have not consented are missing from the answer.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Deadline, Error, ServerApiKey, Transport, answer, payment::refused};
use crate::identifier::Identifier;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The first line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The receiver.
    pub user_uid: Identifier,
    /// The page of the app that it opens; begins with a slash.
    pub subroute: String,
}

#[derive(Serialize)]
struct NotifyDto<'a> {
    notifications: &'a [Notification],
}

#[derive(Deserialize)]
struct DeliveredDto {
    delivered_notifications: Vec<DeliveredNotificationDto>,
}

#[derive(Deserialize)]
struct DeliveredNotificationDto {
    user_uid: Identifier,
}

/// Sends the messages once, and returns the users who got them, one for each delivered message.
///
/// # Errors
/// Any [`Error`]. After [`Error::Unreachable`], some messages may have been delivered.
pub async fn notify(
    transport: &impl Transport,
    base: &str,
    key: &ServerApiKey,
    notifications: &[Notification],
) -> Result<Vec<Identifier>, Error> {
    let body = serde_json::to_vec(&NotifyDto { notifications })
        .map_err(|_| Error::Unreadable("the request could not be made"))?;
    let url = format!("{base}/v2/in_app_notifications/notify");
    let request =
        answer::request(Method::POST, url, &key.authorization(), Some(body), Deadline::SHORT)?;
    let response = transport.send(request).await?;
    match response.status() {
        StatusCode::OK | StatusCode::CREATED => {}
        StatusCode::UNAUTHORIZED => return Err(refused(&response, key)),
        // Here Pi's `error` is a sentence about a quota or a missing member, and not a code.
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(Error::Declined(None));
        }
        _ => return Err(answer::other(&response)),
    }
    let answer: DeliveredDto = answer::read(&response, "not a list of deliveries")?;
    Ok(answer.delivered_notifications.into_iter().map(|delivered| delivered.user_uid).collect())
}
