//! The session cookie: its name, how it is set, read and cleared.

use crate::http::public::Public;
use axum::http::{HeaderMap, HeaderValue, header};

const PLAIN: &str = "weir_session";
const SECURE: &str = "__Host-weir_session";

/// The session secret that the request carries under the name that [`set`] gives here. The other name does not count: a page of
/// a neighbouring host can plant a plain cookie, but none with `__Host-`.
#[must_use]
pub fn session<'h>(public: &Public, headers: &'h HeaderMap) -> Option<&'h str> {
    let wanted = name(public);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == wanted && !value.is_empty())
        .map(|(_, value)| value)
}

/// `Set-Cookie` for a new session that lasts `seconds`.
#[must_use]
pub fn set(public: &Public, secret: &str, seconds: i64) -> HeaderValue {
    render(public, secret, seconds)
}

/// `Set-Cookie` that makes the browser forget the session.
#[must_use]
pub fn clear(public: &Public) -> HeaderValue {
    render(public, "", 0)
}

/// Over plain loopback HTTP browsers refuse `__Host-` cookies, so there, and only there, the cookie is not `Secure`.
fn name(public: &Public) -> &'static str {
    if public.secure_cookies() { SECURE } else { PLAIN }
}

fn render(public: &Public, secret: &str, seconds: i64) -> HeaderValue {
    let secure = if public.secure_cookies() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", name(public)))
        .expect("invariant: session secrets are URL-safe text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_bound_to_its_host_unless_on_loopback() {
        let https = Public::new(Some("https://weir.example/"), "0.0.0.0:80".parse().unwrap()).unwrap();
        let local = Public::new(None, "127.0.0.1:8080".parse().unwrap()).unwrap();
        assert_eq!(set(&https, "s", 60), "__Host-weir_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        assert_eq!(set(&local, "s", 60), "weir_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        assert_eq!(clear(&local), "weir_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn the_session_is_found_among_other_cookies_under_its_own_name_only() {
        let https = Public::new(Some("https://weir.example/"), "0.0.0.0:80".parse().unwrap()).unwrap();
        let local = Public::new(None, "127.0.0.1:8080".parse().unwrap()).unwrap();
        let read = |public: &Public, cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            session(public, &headers).map(str::to_owned)
        };
        assert_eq!(read(&local, "theme=dark; weir_session=abc; x=1").as_deref(), Some("abc"));
        assert_eq!(read(&https, "weir_session=planted; __Host-weir_session=ours").as_deref(), Some("ours"));
        assert_eq!(read(&https, "weir_session=planted"), None);
        assert_eq!(read(&local, "weir_session="), None);
        assert_eq!(read(&local, "not_weir_session=abc"), None);
    }
}
