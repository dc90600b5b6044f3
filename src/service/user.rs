//! A user, and a user's record, as every route shows them.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Error, body};
use crate::session::{Data, User};

/// A user as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserJson<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    scopes: &'a [String],
    first_seen_at: String,
    last_seen_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_new: Option<bool>,
}

impl<'a> UserJson<'a> {
    pub(super) fn new(user: &'a User, is_new: Option<bool>) -> Self {
        Self {
            uid: user.uid.as_str(),
            username: user.username.as_deref(),
            scopes: &user.scopes,
            first_seen_at: user.first_seen_at.to_rfc3339(),
            last_seen_at: user.last_seen_at.to_rfc3339(),
            is_new,
        }
    }
}

#[derive(Serialize)]
struct RecordJson<'a> {
    user: UserJson<'a>,
    data: &'a RawValue,
}

/// 200 with the user and the data, `{}` when there is none yet.
pub(super) fn record(user: &User, data: Option<Data>) -> Result<Response<Vec<u8>>, Error> {
    let data = RawValue::from_string(data.map_or_else(|| "{}".to_owned(), |data| data.text))
        .map_err(|_| Error::Internal("the stored data is not JSON"))?;
    Ok(body::json(StatusCode::OK, &RecordJson { user: UserJson::new(user, None), data: &data }))
}
