//! `POST /notifications`: passes a backend's in-app notifications on to Pi, with the app's key.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    admin::deeds::Deeds as _,
    answer,
    app::{App, Entropy, Ports},
    body, credential,
    error::Error,
    log::Warning,
};
use crate::{
    audit::Action,
    identifier::Identifier,
    pi::{self, Notification},
};

/// Room for 256 notifications of one KiB each.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// The most that Pi accepts.
const MAX_NOTIFICATIONS: usize = 256;

/// How many go to Pi in one request. Pi's answer repeats every message, and at most 64 KiB of an
/// answer are read: room for 48 messages of one KiB.
const NOTIFICATIONS_PER_REQUEST: usize = 48;

#[derive(Deserialize)]
struct NotificationsBody {
    notifications: Vec<NotificationBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NotificationBody {
    title: String,
    body: String,
    #[serde(alias = "user_uid")]
    user_uid: Identifier,
    subroute: String,
}

impl NotificationBody {
    fn is_valid(&self) -> bool {
        !self.title.is_empty() && !self.body.is_empty() && self.subroute.starts_with('/')
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotifiedJson {
    requested: usize,
    delivered: usize,
    delivered_to: Vec<Identifier>,
    unconfirmed: usize,
}

/// `POST /notifications`: 200 with the users that Pi reports as reached. A user who has not agreed
/// to notifications is not among them. If Pi's answer for some of them is lost, they may still have
/// been delivered; the answer counts those as `unconfirmed`, so that a backend does not send them
/// again.
///
/// 1. Checks the backend's credential: 400, 401.
/// 2. Reads the notifications: 400, 408, 413, 415.
/// 3. Stores an entry of the audit, because what was sent cannot be taken back: 500
///    `misconfigured`, 503 `storage_unavailable`.
/// 4. Passes them on: 502, 503, 504, if the first request to Pi already fails.
/// 5. Stores another entry with the numbers of the answer.
pub(super) async fn notify<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let backend = credential::backend(app, request.headers())?;
    // (2)
    let NotificationsBody { notifications } = body::json(request, MAX_BYTES)?;
    if !(1..=MAX_NOTIFICATIONS).contains(&notifications.len())
        || !notifications.iter().all(NotificationBody::is_valid)
    {
        return Err(Error::InvalidRequest(
            "The notifications are not valid. Send 1 to 256, each with title, body, userUid and a subroute that begins with a slash.",
        ));
    }
    let notifications = notifications.into_iter().map(|notification| Notification {
        title: notification.title,
        body: notification.body,
        user_uid: notification.user_uid,
        subroute: notification.subroute,
    });
    let notifications: Vec<Notification> = notifications.collect();
    // (3)
    let (base, key) = (&app.settings.pi_api_base, app.settings.server_api_key()?);
    let asked = backend.entry(Action::NotificationsAsked, None, entropy);
    let asked = asked.with_detail(format!(r#"{{"requested":{}}}"#, notifications.len()));
    app.store.keep_entry(&asked, app.now()).await?;
    // (4)
    let (requested, mut delivered_to, mut confirmed) = (notifications.len(), Vec::new(), 0);
    for some in notifications.chunks(NOTIFICATIONS_PER_REQUEST) {
        match pi::notify(&app.transport, base, key, some).await {
            Ok(reached) => delivered_to.extend(reached),
            Err(pi::Error::Unreachable(_) | pi::Error::Unreadable(_)) => break,
            // Pi sent none of these notifications, and there were none before them.
            Err(error) if confirmed == 0 => return Err(error.into()),
            Err(_) => break,
        }
        confirmed += some.len();
    }
    let (delivered, unconfirmed) = (delivered_to.len(), requested - confirmed);
    // (5) The audit says who had them sent, so a failure goes to the log only.
    let entry = backend.entry(Action::NotificationsSent, None, entropy).with_detail(format!(
        r#"{{"requested":{requested},"delivered":{delivered},"unconfirmed":{unconfirmed}}}"#
    ));
    let kept = app.store.keep_entry(&entry, app.now()).await;
    let answer = NotifiedJson { requested, delivered, delivered_to, unconfirmed };
    let mut response = answer::json(StatusCode::OK, &answer);
    if let Err(error) = kept {
        let reason = format!("the audit lacks what became of these notifications: {error}");
        response.extensions_mut().insert(Warning(reason.into()));
    }
    Ok(response)
}
