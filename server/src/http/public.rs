//! How the world reaches this server: what decides on HTTPS, on cookies and on whose requests are ours.

use std::net::SocketAddr;
use url::Url;

/// The address users type, as far as we were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    origin: Option<String>,
    https: bool,
    loopback: bool,
}

/// A public address that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a public address; expected one such as https://weir.example.com, without a path")]
pub struct InvalidPublicUrl(String);

impl Public {
    /// From the configured address, or, without one, from the socket we listen on.
    pub fn new(url: Option<&str>, listen: SocketAddr) -> Result<Self, InvalidPublicUrl> {
        let Some(text) = url else {
            return Ok(Self { origin: None, https: false, loopback: listen.ip().is_loopback() });
        };
        let invalid = || InvalidPublicUrl(text.to_owned());
        let url = Url::parse(text).map_err(|_| invalid())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(invalid());
        }
        let host = url.host().ok_or_else(invalid)?;
        let loopback = match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(ip) => ip.is_loopback(),
            url::Host::Ipv6(ip) => ip.is_loopback(),
        };
        Ok(Self { origin: Some(url.origin().ascii_serialization()), https: url.scheme() == "https", loopback })
    }

    /// The configured origin, such as `https://weir.example.com`; without one, a request's `Host` decides.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether users come over HTTPS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Cookies are `Secure` everywhere but on loopback over plain HTTP.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.https || !self.loopback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_secure_unless_on_plain_loopback() {
        let cases = [
            (None, "127.0.0.1:8080", Ok((false, false))),
            (None, "[::1]:8080", Ok((false, false))),
            (None, "0.0.0.0:8080", Ok((false, true))),
            (Some("https://weir.example"), "127.0.0.1:8080", Ok((true, true))),
            (Some("http://localhost:9000/"), "0.0.0.0:9000", Ok((false, false))),
            (Some("http://weir.lan"), "127.0.0.1:8080", Ok((false, true))),
            (Some("weir.example"), "127.0.0.1:8080", Err(())),
            (Some("ftp://weir.example"), "127.0.0.1:8080", Err(())),
            (Some("https://weir.example/app"), "127.0.0.1:8080", Err(())),
        ];
        for (url, listen, expected) in cases {
            let public = Public::new(url, listen.parse().unwrap());
            assert_eq!(public.map(|p| (p.is_https(), p.secure_cookies())).map_err(drop), expected, "{url:?} on {listen}");
        }
    }

    #[test]
    fn an_origin_has_no_default_port_and_no_slash() {
        let origin = |url| Public::new(Some(url), "127.0.0.1:1".parse().unwrap()).unwrap().origin().map(str::to_owned);
        assert_eq!(origin("https://weir.example:443/").as_deref(), Some("https://weir.example"));
        assert_eq!(origin("http://weir.lan:8080").as_deref(), Some("http://weir.lan:8080"));
    }
}
