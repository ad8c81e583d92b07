//! The live page: one answer that holds its style and script, so that a browser asks for nothing else.

use http_body_util::Full;
use hyper::{Response, StatusCode, body::Bytes, header::HeaderValue};

use super::text;

const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<title>websocket-inspector</title>\n<style>\n",
    include_str!("page/style.css"),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>\n",
    include_str!("page/script.js"),
    "</script>\n</html>\n",
);

/// Nothing of the page comes from elsewhere, and it may ask nobody else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
    img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn page() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    response.headers_mut().insert("content-security-policy", HeaderValue::from_static(POLICY));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
