//! The upgrade to a Phoenix socket, with the checks of a Phoenix endpoint in its order: method, origin, version,
//! upgrade headers.

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::client::origin::Origins;
use crate::phoenix::frame::Version;

/// The subprotocol that clients offer beside their token; unless it is echoed, browsers give up.
const SUBPROTOCOL: &str = "phoenix";

/// Why an upgrade was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// A word for metrics.
    pub(crate) word: &'static str,
    /// What the client gets.
    pub(crate) response: Response<Body>,
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
    let key = check_upgrade(headers).map_err(|text| refused("upgrade", StatusCode::BAD_REQUEST, text))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if mentions(headers, SEC_WEBSOCKET_PROTOCOL, |offer| offer == SUBPROTOCOL) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
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
    let vsn = semver::Version::parse(&vsn)
        .ok()
        .filter(|vsn| vsn.pre.is_empty())?;
    match (vsn.major, vsn.minor) {
        (1, 0) => Some(Version::V1),
        (2, 0) => Some(Version::V2),
        _ => None,
    }
}

/// The key of a proper upgrade, or what is wrong with it.
fn check_upgrade(headers: &HeaderMap) -> Result<&[u8], String> {
    if !headers.contains_key(HOST) {
        return Err("'host' header is absent".to_owned());
    }
    if !mentions(headers, CONNECTION, |token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(format!(
            "'connection' header must contain 'upgrade', got {}",
            shown(headers, CONNECTION)
        ));
    }
    if !mentions(headers, UPGRADE, |token| token.eq_ignore_ascii_case("websocket")) {
        return Err(format!(
            "'upgrade' header must contain 'websocket', got {}",
            shown(headers, UPGRADE)
        ));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err("'sec-websocket-key' header is absent".to_owned());
    };
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let got = shown(headers, SEC_WEBSOCKET_VERSION);
        return Err(format!(
            "'sec-websocket-version' header must equal '13', got {got}"
        ));
    }
    Ok(key.as_bytes())
}

/// Whether one of a header's comma-separated tokens is what is asked for.
fn mentions(headers: &HeaderMap, name: HeaderName, is_it: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| is_it(token.trim()))
}

fn shown(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    format!("{values:?}")
}

fn refused(word: &'static str, status: StatusCode, text: String) -> Refused {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    Refused { word, response }
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
