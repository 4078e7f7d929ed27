//! The host that a request is for.

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Uri, Version};

/// The host of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestHost {
    /// As the client sent it, port and case included; `None` where it sent none (HTTP/1.0).
    pub(super) sent: Option<HeaderValue>,
    /// For choosing the app: lower-case, without port and without a final dot; empty where none was sent.
    pub(super) name: String,
}

/// Finds the host of a request. The error says what is wrong with it.
///
/// A target in absolute form (`GET http://host/path`) wins over the `Host` field (RFC 9112, 3.2.2); a request of
/// HTTP/1.1 without a `Host`, or any with two, is refused: two servers could read it in two ways.
pub(super) fn of_request(head: &Parts) -> Result<RequestHost, &'static str> {
    let mut fields = head.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err("it has more than one Host");
    }
    if field.is_none() && head.version == Version::HTTP_11 {
        return Err("it has no Host");
    }
    let sent = match in_target(&head.uri)? {
        Some(host) => Some(host),
        None => field.cloned(),
    };
    let name = match &sent {
        None => String::new(),
        Some(value) => {
            let text = value.to_str().map_err(|_| BAD_HOST)?;
            name_of(text).ok_or(BAD_HOST)?
        }
    };
    Ok(RequestHost { sent, name })
}

const BAD_HOST: &str = "its Host is not a host name";

fn in_target(target: &Uri) -> Result<Option<HeaderValue>, &'static str> {
    match target.authority() {
        None => Ok(None),
        Some(authority) => HeaderValue::from_str(authority.as_str())
            .map(Some)
            .map_err(|_| BAD_HOST),
    }
}

/// The name in `name`, `name:port` or `[address]:port`. `None`: it can't be one.
fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':')?),
            };
            (address, port)
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port_ok = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let name_ok = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._:%~!$&'()*+,;=".contains(&b));
    (port_ok && name_ok).then(|| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn head(target: &str, version: Version, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn case_port_and_final_dot_do_not_matter() {
        let cases = [
            ("Shop.Example.com", "shop.example.com"),
            ("shop.example.com:8080", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("shop.example.com.:80", "shop.example.com"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("shop:", "shop"),
            ("", ""),
        ];
        for (sent, name) in cases {
            let host = of_request(&head("/", Version::HTTP_11, &[sent])).unwrap();
            assert_eq!(host.name, name, "{sent}");
            assert_eq!(host.sent.unwrap(), sent);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["a b", "a/b", "u@a", "a:b", "[::1", "[::1]x", "<a>"] {
            let found = of_request(&head("/", Version::HTTP_11, &[bad]));
            assert!(found.is_err(), "{bad}");
        }
        assert!(of_request(&head("/", Version::HTTP_11, &[])).is_err());
        assert!(of_request(&head("/", Version::HTTP_11, &["a", "a"])).is_err());
    }

    #[test]
    fn an_old_client_may_leave_the_host_out() {
        let host = of_request(&head("/", Version::HTTP_10, &[])).unwrap();
        assert_eq!((host.sent, host.name.as_str()), (None, ""));
    }

    #[test]
    fn a_target_with_a_host_wins_over_the_field() {
        let head = head("http://a.test:81/x", Version::HTTP_11, &["b.test"]);
        let host = of_request(&head).unwrap();
        assert_eq!(host.name, "a.test");
        assert_eq!(host.sent.unwrap(), "a.test:81");
    }
}
