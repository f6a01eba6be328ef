//! The upgrade to a Phoenix socket, with the checks of a Phoenix endpoint in its order: method, origin, version,
//! upgrade headers.

use axum::body::Body;
use axum::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::client::origin::Origins;
use crate::client::upgrade::{self, mentions};
use crate::phoenix::frame::Version;

/// The subprotocol that clients offer beside their token; unless it is echoed, browsers give up.
const SUBPROTOCOL: &str = "phoenix";

/// Why an upgrade was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// A word for metrics.
    pub(crate) word: &'static str,
    /// What the client gets.
    pub(crate) response: Box<Response<Body>>,
}

/// What to answer, and the version to speak afterwards.
///
/// # Errors
/// 400 for what is no WebSocket upgrade, 403 for what is not allowed.
pub(crate) fn check(
    request: &Request<Body>,
    origins: &Origins,
) -> Result<(Version, Response<Body>), Refused> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(refused("method", StatusCode::BAD_REQUEST, String::new()));
    }
    if !origins.allow(headers.get(ORIGIN), headers.get(HOST)) {
        return Err(refused("origin", StatusCode::FORBIDDEN, String::new()));
    }
    let Some(version) = version(request.uri().query().unwrap_or("")) else {
        return Err(refused("vsn", StatusCode::FORBIDDEN, String::new()));
    };
    let mut response =
        upgrade::answer(headers).map_err(|text| refused("upgrade", StatusCode::BAD_REQUEST, text))?;
    if mentions(headers, SEC_WEBSOCKET_PROTOCOL, |offer| offer == SUBPROTOCOL) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok((version, response))
}

/// The version that a query asks for: `vsn` must be a full semantic version. Of several the last counts.
fn version(query: &str) -> Option<Version> {
    let mut vsn = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "vsn" {
            vsn = Some(value);
        } else if key.starts_with("vsn[") {
            return None;
        }
    }
    let Some(vsn) = vsn else { return Some(Version::V1) };
    let vsn = semver::Version::parse(&vsn).ok().filter(|vsn| vsn.pre.is_empty())?;
    match (vsn.major, vsn.minor) {
        (1, 0) => Some(Version::V1),
        (2, 0) => Some(Version::V2),
        _ => None,
    }
}

fn refused(word: &'static str, status: StatusCode, text: String) -> Refused {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    Refused { word, response: Box::new(response) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_full_semantic_versions_in_range() {
        for (query, expected) in [
            ("", Some(Version::V1)),
            ("user=a%20b", Some(Version::V1)),
            ("vsn=1.0.0", Some(Version::V1)),
            ("vsn=1.0.7", Some(Version::V1)),
            ("vsn=2.0.0", Some(Version::V2)),
            ("user=a&vsn=2.0.9&", Some(Version::V2)),
            ("vsn=2%2E0%2E0", Some(Version::V2)),
            ("vsn=2", None),
            ("vsn=2.0", None),
            ("vsn=abc", None),
            ("vsn=", None),
            ("vsn=1.1.0", None),
            ("vsn=2.1.0", None),
            ("vsn=3.0.0", None),
            ("vsn=123.1.1", None),
            ("vsn=2.0.0-rc.1", None),
            ("vsn[]=2.0.0", None),
            ("vsn=1.0.0&vsn=2.0.0", Some(Version::V2)),
        ] {
            assert_eq!(version(query), expected, "{query}");
        }
    }
}
