//! What the front itself answers when no app can.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use hyper::{HeaderMap, Method, Response, StatusCode};

use crate::ids::AppName;

/// An answer of the front's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// No app has this host name.
    UnknownHost(String),
    /// There is no app at all.
    NoApps,
    /// The app exists, and nothing of it was ever published.
    NothingDeployed(AppName),
    /// The app could not be reached, or ended the connection without an answer.
    NotAnswering(AppName),
    /// The app took the request and gave no answer in time.
    TooSlow(AppName),
    /// The client did not send the rest of its request in time.
    StalledUpload,
    /// The request can't be understood or passed on.
    BadRequest(&'static str),
    /// The method makes no sense here.
    MethodNotAllowed,
}

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Text,
}

impl Page {
    /// The status code.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::NoApps | Self::NothingDeployed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAnswering(_) => StatusCode::BAD_GATEWAY,
            Self::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::StalledUpload => StatusCode::REQUEST_TIMEOUT,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::UnknownHost(host) if host.is_empty() => {
                "This request names no host, so no app can be chosen for it.".to_owned()
            }
            Self::UnknownHost(host) => format!("No app on this server has the host name {host}."),
            Self::NoApps => "There is no app on this server yet.".to_owned(),
            Self::NothingDeployed(app) => format!("Nothing has been deployed to {app} yet."),
            Self::NotAnswering(app) => format!("{app} is not answering at the moment."),
            Self::TooSlow(app) => format!("{app} took the request, but gave no answer in time."),
            Self::StalledUpload => "The rest of the request did not arrive in time.".to_owned(),
            Self::BadRequest(why) => format!("The request can't be passed on: {why}."),
            Self::MethodNotAllowed => "This method is not possible here.".to_owned(),
        }
    }

    /// The whole response, written as the client's `Accept` prefers, without a body for `HEAD`.
    pub(super) fn response(&self, method: &Method, accept: &HeaderMap) -> Response<Full<Bytes>> {
        let form = wanted_form(accept);
        let text = self.written(form);
        let length = text.len();
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            Bytes::from(text)
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    fn written(&self, form: Form) -> String {
        let (status, words) = (self.status(), self.words());
        match form {
            Form::Text => format!("{status}\n\n{words}\n"),
            Form::Html => {
                let words = escape(&words);
                format!(
                    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                     <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
                     <title>{status}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;\
                     max-width:36rem;margin:15vh auto;padding:0 1rem}}</style></head>\
                     <body><h1>{status}</h1><p>{words}</p></body></html>\n"
                )
            }
        }
    }
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// Browsers name `text/html` in `Accept`; scripts and tools do not.
fn wanted_form(headers: &HeaderMap) -> Form {
    let names_html = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|text| text.to_ascii_lowercase().contains("text/html"))
    };
    if headers.get_all(ACCEPT).iter().any(names_html) {
        Form::Html
    } else {
        Form::Text
    }
}

/// Makes text from a request safe between HTML tags.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        headers
    }

    #[test]
    fn browsers_get_html_and_tools_get_text() {
        let page = Page::NothingDeployed("shop".parse().unwrap());
        let html = page.response(&Method::GET, &browser());
        assert_eq!(html.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(html.status(), 503);
        assert_eq!(html.headers()[RETRY_AFTER], "5");
        let text = page.response(&Method::GET, &HeaderMap::new());
        assert_eq!(text.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    }

    #[test]
    fn a_host_name_can_not_bring_markup_along() {
        let page = Page::UnknownHost("<script>&'\"\u{7}".to_owned());
        let html = page.written(Form::Html);
        assert!(
            html.contains("name &lt;script&gt;&amp;&#39;&quot;."),
            "{html}"
        );
    }

    #[test]
    fn head_gets_the_length_of_the_page_and_no_page() {
        let page = Page::NoApps;
        let get = page.response(&Method::GET, &HeaderMap::new());
        let head = page.response(&Method::HEAD, &HeaderMap::new());
        assert_eq!(
            get.headers()[CONTENT_LENGTH],
            head.headers()[CONTENT_LENGTH]
        );
        assert_eq!(hyper::body::Body::size_hint(head.body()).exact(), Some(0));
    }
}
