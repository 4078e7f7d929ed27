//! What happens to header fields on their way through. Pure.
//!
//! **Forwarded fields and trust.** The front is the edge: what a client from elsewhere says in `X-Forwarded-*`,
//! `X-Real-IP` or `Forwarded` is removed, and `X-Forwarded-For`, `-Proto` and `-Host` say what the front saw. A client
//! on the loopback interface is taken for a proxy of the same machine (one that ends TLS, say): the front appends to
//! its `X-Forwarded-For` and keeps the rest. Whoever can connect from there runs on this machine already.

use std::net::IpAddr;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{HeaderMap, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields that belong to one connection and never travel on (RFC 9110, 7.6.1, with the older ones of RFC 2616,
/// 13.5.1). `Trailer` is not among them any more.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Fields that a sender can't have removed by naming them in `Connection`: without them the message would be another.
const NEVER_BY_NAME: [HeaderName; 3] = [HOST, CONTENT_LENGTH, EXPECT];

/// Removes the fields that belong to one connection, those that `Connection` names included.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named_in_connection(headers) {
            if !NEVER_BY_NAME.contains(&name) {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn named_in_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect()
}

/// The comma-separated tokens of all fields of one name.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// Whether the sender will close the connection after this message.
pub(super) fn says_close(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "close")
}

/// Whether the transfer codings are anything but plain `chunked`, which is the only one that can be passed on.
pub(super) fn has_other_codings(headers: &HeaderMap) -> bool {
    tokens(headers, &TRANSFER_ENCODING).any(|coding| !coding.eq_ignore_ascii_case("chunked"))
}

/// The protocols that a request would change to: what it says in `Upgrade`, if `Connection` says so too.
///
/// `h2c` is left out: the app behind would speak HTTP/2 past the front's eyes.
pub(super) fn wanted_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || !has_token(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let wanted: Vec<&str> = tokens(headers, &UPGRADE)
        .filter(|protocol| !protocol.eq_ignore_ascii_case("h2c"))
        .collect();
    if wanted.is_empty() {
        return None;
    }
    HeaderValue::from_str(&wanted.join(", ")).ok()
}

/// What the front knows of a request beside its header.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// The client's address.
    pub(super) client: IpAddr,
    /// `Host` as the client sent it.
    pub(super) host: Option<&'a HeaderValue>,
    /// What [`wanted_upgrade`] found.
    pub(super) upgrade: Option<&'a HeaderValue>,
    /// HTTP's version of the request.
    pub(super) version: Version,
}

/// Makes the header of a client's request that of the request to the app.
pub(super) fn prepare_request(headers: &mut HeaderMap, seen: &Seen<'_>) {
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let trailers = has_token(headers, &TE, "trailers");
    strip_hop_by_hop(headers);
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if seen.version == Version::HTTP_10 {
        headers.remove(EXPECT);
    }
    match seen.upgrade {
        Some(protocols) => {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, protocols.clone());
        }
        None if trailers => {
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        None => {}
    }
    let host = seen.host.cloned();
    headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    add_forwarded(headers, seen);
}

fn add_forwarded(headers: &mut HeaderMap, seen: &Seen<'_>) {
    let client = seen.client.to_canonical();
    if !client.is_loopback() {
        remove_forwarded(headers);
    }
    let said: Vec<&str> = tokens(headers, &X_FORWARDED_FOR).collect();
    let client = client.to_string();
    let chain = said.into_iter().chain([client.as_str()]);
    let chain = chain.collect::<Vec<_>>().join(", ");
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if let Entry::Vacant(proto) = headers.entry(X_FORWARDED_PROTO) {
        proto.insert(HeaderValue::from_static("http"));
    }
    if let (Entry::Vacant(entry), Some(host)) = (headers.entry(X_FORWARDED_HOST), seen.host) {
        entry.insert(host.clone());
    }
}

fn remove_forwarded(headers: &mut HeaderMap) {
    let speaks_of_the_client = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
    };
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(speaks_of_the_client)
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Makes the header of an app's response that of the response to the client.
pub(super) fn prepare_response(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // A length beside chunks is wrong, and must be ignored (RFC 9112, 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
}

/// Makes the header of an app's `101` that of the answer to the client.
pub(super) fn prepare_switch(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
}

/// Says that the connection ends after this response.
pub(super) fn say_close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn prepared(client: &str, fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = map(fields);
        let host = headers.get(HOST).cloned();
        let upgrade = wanted_upgrade(Version::HTTP_11, &headers);
        let seen = Seen {
            client: client.parse().unwrap(),
            host: host.as_ref(),
            upgrade: upgrade.as_ref(),
            version: Version::HTTP_11,
        };
        prepare_request(&mut headers, &seen);
        headers
    }

    #[test]
    fn fields_of_one_connection_stay_there() {
        let headers = prepared(
            "203.0.113.9",
            &[
                ("host", "shop.test"),
                ("connection", "keep-alive, X-Secret"),
                ("connection", "Host, Content-Length"),
                ("keep-alive", "timeout=5"),
                ("proxy-authorization", "Basic x"),
                ("x-secret", "1"),
                ("content-length", "3"),
                ("cookie", "a=b"),
            ],
        );
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "content-length",
                "cookie",
                "host",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto"
            ]
        );
    }

    #[test]
    fn a_client_from_elsewhere_can_not_say_who_it_is() {
        let headers = prepared(
            "::ffff:203.0.113.9",
            &[
                ("host", "Shop.test:8080"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
                ("forwarded", "for=10.0.0.1"),
                ("x-real-ip", "10.0.0.1"),
            ],
        );
        assert_eq!(headers[&X_FORWARDED_FOR], "203.0.113.9");
        assert_eq!(headers[&X_FORWARDED_PROTO], "http");
        assert_eq!(headers[&X_FORWARDED_HOST], "Shop.test:8080");
        for gone in ["x-forwarded-port", "forwarded", "x-real-ip"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_and_appended_to() {
        let headers = prepared(
            "127.0.0.1",
            &[
                ("host", "shop.test"),
                ("x-forwarded-for", "203.0.113.9"),
                ("x-forwarded-for", "198.51.100.1"),
                ("x-forwarded-proto", "https"),
            ],
        );
        let chain: Vec<_> = headers.get_all(&X_FORWARDED_FOR).iter().collect();
        assert_eq!(chain, ["203.0.113.9, 198.51.100.1, 127.0.0.1"]);
        assert_eq!(headers[&X_FORWARDED_PROTO], "https");
        assert_eq!(headers[&X_FORWARDED_HOST], "shop.test");
    }

    #[test]
    fn an_upgrade_is_passed_on_unless_it_is_to_http_2() {
        let both = [("host", "a"), ("connection", "keep-alive, Upgrade")];
        let ws = prepared("::1", &[both[0], both[1], ("upgrade", "websocket, h2c")]);
        assert_eq!(ws[UPGRADE], "websocket");
        assert_eq!(ws[CONNECTION], "Upgrade");
        let h2c = prepared("::1", &[both[0], both[1], ("upgrade", "h2c")]);
        assert!(!h2c.contains_key(UPGRADE) && !h2c.contains_key(CONNECTION));
        let half = prepared("::1", &[both[0], ("upgrade", "websocket")]);
        assert!(!half.contains_key(UPGRADE));
    }

    #[test]
    fn chunks_and_the_wish_for_trailers_are_said_anew() {
        let headers = prepared(
            "::1",
            &[
                ("host", "a"),
                ("transfer-encoding", "Chunked"),
                ("te", "gzip, trailers"),
                ("connection", "TE"),
                ("trailer", "x-sum"),
            ],
        );
        assert_eq!(headers[TRANSFER_ENCODING], "chunked");
        assert_eq!(headers[TE], "trailers");
        assert_eq!(headers[CONNECTION], "TE");
        assert_eq!(headers["trailer"], "x-sum");
    }

    #[test]
    fn a_response_with_chunks_loses_a_length_that_contradicts_them() {
        let mut headers = map(&[
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("connection", "close"),
        ]);
        assert!(says_close(&headers));
        prepare_response(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn only_plain_chunks_are_understood() {
        for (coding, other) in [("chunked", false), ("gzip, chunked", true), ("x", true)] {
            let headers = map(&[("transfer-encoding", coding)]);
            assert_eq!(has_other_codings(&headers), other, "{coding}");
        }
        assert!(!has_other_codings(&HeaderMap::new()));
    }

    proptest! {
        /// Whatever a client sends, nothing that steers a connection gets to the app except what the front says itself.
        #[test]
        fn nothing_of_the_clients_connection_gets_through(
            fields in proptest::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,20}"), 0..12),
            steering in proptest::sample::subsequence(
                vec!["connection", "keep-alive", "te", "upgrade", "proxy-connection", "transfer-encoding", "http2-settings"], 0..7),
            value in "[ -~]{0,20}",
        ) {
            let mut all: Vec<(&str, &str)> = vec![("host", "a")];
            all.extend(fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).map(|(n, v)| (n.as_str(), v.as_str())));
            all.extend(steering.iter().map(|name| (*name, value.as_str())));
            let headers = prepared("203.0.113.9", &all);
            prop_assert!(headers.get(CONNECTION).is_none_or(|v| v == "Upgrade" || v == "TE"));
            prop_assert!(headers.get(TRANSFER_ENCODING).is_none_or(|v| v == "chunked"));
            prop_assert!(headers.get(TE).is_none_or(|v| v == "trailers"));
            for gone in ["keep-alive", "proxy-connection", "http2-settings"] {
                prop_assert!(!headers.contains_key(gone));
            }
            prop_assert_eq!(&headers[&X_FORWARDED_FOR], "203.0.113.9");
            prop_assert_eq!(&headers[HOST], "a");
        }
    }
}
