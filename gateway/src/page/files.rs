//! The files of the page, compiled in, and what a browser may do with them.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may do: run its own script and style and open WebSockets (to any gateway), nothing else. Trusted
/// types make the browser itself refuse to turn text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The routes of the page: `/` and the files that it loads. They need no state and never fail.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(async || file(HTML, include_str!("index.html"))))
        .route("/page.css", get(async || file(CSS, include_str!("page.css"))))
        .route("/connection.js", get(async || file(JAVASCRIPT, include_str!("connection.js"))))
        .route("/page.js", get(async || file(JAVASCRIPT, include_str!("page.js"))))
}

/// One file of the page. `no-cache` makes a browser ask again, so that a new release never mixes with an old page.
fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::Service;

    use super::*;

    async fn fetch(path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes().call(request).await.unwrap();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let kind = header(CONTENT_TYPE).unwrap_or_default();
        if response.status() == StatusCode::OK {
            assert_eq!(header(CACHE_CONTROL).as_deref(), Some("no-cache"));
            assert_eq!(header(CONTENT_SECURITY_POLICY).as_deref(), Some(POLICY));
            assert_eq!(header(X_CONTENT_TYPE_OPTIONS).as_deref(), Some("nosniff"));
        }
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_file_has_its_type() {
        for (path, kind) in
            [("/", HTML), ("/page.css", CSS), ("/connection.js", JAVASCRIPT), ("/page.js", JAVASCRIPT)]
        {
            let (status, got, body) = fetch(path).await;
            assert_eq!((status, got.as_str()), (StatusCode::OK, kind), "{path}");
            assert!(!body.is_empty(), "{path}");
        }
        assert_eq!(fetch("/nothing").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_page_loads_only_what_is_served_here() {
        let (_, _, html) = fetch("/").await;
        for attribute in ["href=\"", "src=\""] {
            for rest in html.split(attribute).skip(1) {
                let target = rest.split('"').next().unwrap();
                let own =
                    target.starts_with("data:image/svg+xml,") || fetch(target).await.0 == StatusCode::OK;
                assert!(own, "{target} is not served by the gateway");
            }
        }
    }

    #[test]
    fn nothing_can_become_markup() {
        for script in [include_str!("page.js"), include_str!("connection.js")] {
            for way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!script.contains(way), "{way}");
            }
        }
    }
}
