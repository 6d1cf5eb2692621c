//! Protects the admin listener, which has no password, from pages in the operator's browser.
//!
//! Such a page can send requests. It could read the responses only through DNS rebinding, so an unknown Host is refused.
//! No response has a CORS header. A link to the console works from anywhere: `/` has no data.

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{Request, StatusCode};

use crate::http::client_address::Peer;

/// Refuses a request from a page of another site, and one over TCP whose Host is not `localhost`, an IP address or in
/// `hosts`, which are in lower case. The error is the status and the reason.
pub fn check<B>(
    peer: Peer,
    request: &Request<B>,
    hosts: &[String],
) -> Result<(), (StatusCode, &'static str)> {
    let mut sites = request.headers().get_all("sec-fetch-site").iter();
    if sites.any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
        && !is_link_to_console(request)
    {
        return Err((
            StatusCode::FORBIDDEN,
            "requests from pages of other sites are refused",
        ));
    }
    // Browsers cannot connect to a unix socket, and a proxy may send any Host.
    if peer == Peer::Unix || is_known(request, hosts) {
        return Ok(());
    }
    Err((
        StatusCode::MISDIRECTED_REQUEST,
        "this Host is neither localhost nor an IP address: add it to admin.hosts",
    ))
}

/// Whether the browser opens the console in a tab, not in a frame of another page.
fn is_link_to_console<B>(request: &Request<B>) -> bool {
    let target = request.headers().get("sec-fetch-dest");
    request.uri().path() == "/" && target.is_some_and(|target| target == "document")
}

/// Whether the Host is allowed. A request without one is HTTP/1.0, and no browser sends it.
fn is_known<B>(request: &Request<B>, hosts: &[String]) -> bool {
    // In absolute form the target wins over the header.
    let host = match (request.uri().host(), request.headers().get(HOST)) {
        (Some(host), _) => host.to_owned(),
        (None, None) => return true,
        (None, Some(field)) => match Authority::try_from(field.as_bytes()) {
            Ok(authority) => authority.host().to_owned(),
            Err(_) => return false,
        },
    };
    let host = host.to_ascii_lowercase();
    host == "localhost" || is_address(&host) || hosts.contains(&host)
}

fn is_address(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}
