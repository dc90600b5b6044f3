//! `GET /console`: the page for operators, and the files that it loads. Their texts are no part of
//! the service: a response names its file, and the edge adds the text.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::service::{
    app::{App, Ports},
    error::Error,
};

/// The file whose text the edge sends as the body. The response carries it as an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleFile(pub String);

/// The document. No path of a file that it loads has this name, because it is not a script or a
/// style sheet.
const DOCUMENT: &str = "index.html";

/// The name of a file has a hash of its text, so a text under one name never changes. A year is as
/// long as caches keep anything ([RFC 9111] §5.2.2.1).
///
/// [RFC 9111]: https://www.rfc-editor.org/rfc/rfc9111
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /console`: 200 with the document, which no cache may keep: it names the files of this
/// version. It shows nothing until an operator signs in on it.
pub(in crate::service) async fn document() -> Result<Response<Vec<u8>>, Error> {
    Ok(response(DOCUMENT, "text/html; charset=utf-8"))
}

/// `GET /console/{name}`: 200 with a script or a style sheet, 404 for any other name.
pub(in crate::service) async fn file<P: Ports>(
    app: &App<'_, P>,
    name: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let media_type = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => return Err(Error::NotFound),
    };
    if !(app.has_console_file)(name) {
        return Err(Error::NotFound);
    }
    let mut response = response(name, media_type);
    response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
    Ok(response)
}

fn response(name: &str, media_type: &'static str) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.extensions_mut().insert(ConsoleFile(name.to_owned()));
    response
}

/// What the page may do: load the scripts and styles of this Worker, and call it. It cannot be
/// framed, send a form, or turn a text into HTML or a script, even where its own code has an error.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The features of browsers that a page could ask for and this one does not use.
const FEATURES: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), \
    encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
    magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
    publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()";

/// Replaces the policy of responses for programs by that of the page, and keeps its window apart
/// from the windows of other sites.
pub(in crate::service) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), FEATURES),
        // Browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
