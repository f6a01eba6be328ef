//! The upgrade of an HTTP request to a WebSocket, whatever protocol follows.

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The 101 that a proper upgrade gets.
///
/// # Errors
/// What is wrong with its headers, in the words of Phoenix.
pub fn answer(headers: &HeaderMap) -> Result<Response<Body>, String> {
    let key = check_upgrade(headers)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
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
        return Err(format!("'upgrade' header must contain 'websocket', got {}", shown(headers, UPGRADE)));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err("'sec-websocket-key' header is absent".to_owned());
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let got = shown(headers, SEC_WEBSOCKET_VERSION);
        return Err(format!("'sec-websocket-version' header must equal '13', got {got}"));
    }
    Ok(key.as_bytes())
}

/// Whether one of a header's comma-separated tokens is what is asked for.
pub(crate) fn mentions(headers: &HeaderMap, name: HeaderName, is_it: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| is_it(token.trim()))
}

fn shown(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    format!("{values:?}")
}
