//! Whom the operator's side answers, as far as browsers are concerned.
//!
//! Nothing asks for a password there, and a page that is open in the operator's browser can send requests to it. Such a
//! page cannot read the response, unless its own name leads here (DNS rebinding): so a name has to be a known one. No
//! response has a CORS header.

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{Request, StatusCode};

use crate::http::client_address::Peer;

/// Why a request is refused.
pub type Refused = (StatusCode, &'static str);

/// Refuses a request that a page of another site has sent, or one over TCP to a name that is neither `localhost` nor an
/// address nor in `hosts`, which are in lower case.
///
/// # Errors
/// The refusal.
pub fn check<B>(peer: Peer, request: &Request<B>, hosts: &[String]) -> Result<(), Refused> {
    let is_cross_site = |value: &[u8]| value.eq_ignore_ascii_case(b"cross-site");
    let mut sites = request.headers().get_all("sec-fetch-site").iter();
    if sites.any(|value| is_cross_site(value.as_bytes())) {
        return Err((
            StatusCode::FORBIDDEN,
            "pages of other sites are not answered here",
        ));
    }
    // No browser connects to a unix socket: a proxy does, which names what it likes.
    if peer == Peer::Unix || is_known(request, hosts) {
        return Ok(());
    }
    Err((
        StatusCode::MISDIRECTED_REQUEST,
        "this host is neither localhost nor an address: name it in admin.hosts",
    ))
}

/// Whether the host is known. Without one it is no browser, nor HTTP/1.1.
fn is_known<B>(request: &Request<B>, hosts: &[String]) -> bool {
    // The target wins over the field.
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
