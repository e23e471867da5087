use std::env;
use std::fmt::Write;

use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};

/// Each file's name, the name that it was made of, and its gzipped content: `build.rs`.
const FILES: [(&str, &str, &[u8]); 2] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Status, headers and body.
type Answer = (u16, Vec<(&'static str, String)>, Body);

/// `GET /docs`: the page of the API reference, with `credentials` filled in unless they are empty.
fn page(credentials: &str) -> Result<Answer, Error> {
    let nonce = nonce()?;
    // Scalar makes its style sheets in the page; it needs neither style attributes nor fonts, see `build.rs`.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Not executed, so not blocked either. A `<` in JSON is in a text: escaped there, nothing ends the element early.
    let credentials = match credentials {
        "" => String::new(),
        json => {
            format!(
                "\n    <script type=\"application/json\" id=\"credentials\">{}</script>",
                json.replace('<', "\\u003c")
            )
        }
    };
    let body = format!(
        include_str!("page.html"),
        nonce = nonce,
        start = name("start.js"),
        scalar = name("scalar.js"),
        credentials = credentials
    );
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("content-security-policy", &policy),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    Ok((200, owned(&headers), Body::Text(body)))
}

/// `GET /docs/{file}`: a script of the page, compressed for whoever asks: every browser takes it so.
fn file(name: &str) -> Answer {
    let Some((.., content)) = FILES.iter().find(|(it, ..)| *it == name) else {
        let headers = owned(&[("content-type", "application/json"), ("x-content-type-options", "nosniff")]);
        return (404, headers, Body::Text(r#"{"message":"Not Found"}"#.to_owned()));
    };
    let headers = [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-encoding", "gzip"),
        // Its name has its hash.
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
    ];
    (200, owned(&headers), Body::Binary(content.to_vec()))
}

fn owned(headers: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The name of the file that was made of `source`.
fn name(source: &str) -> &'static str {
    // INVARIANT: `build.rs` makes both.
    FILES.iter().find(|(_, it, _)| *it == source).expect("a file of the page").0
}

/// 128 random bits in hexadecimal.
fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // INVARIANT: writing to a string does not fail.
        write!(text, "{byte:02x}").expect("a string");
        text
    }))
}

async fn respond(request: Request, credentials: &str) -> Result<Response<Body>, Error> {
    let (status, headers, body) = match request.path_parameters().first("file") {
        Some(name) => file(name),
        None => page(credentials)?,
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(body)?)
}

fn main() -> Result<(), Error> {
    let credentials = env::var("DEMO_CREDENTIALS").unwrap_or_default();
    let serve = lambda_http::run(service_fn(|request| respond(request, &credentials)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: Answer) -> String {
        match answer.2 {
            Body::Text(text) => text,
            other => panic!("not text: {other:?}"),
        }
    }

    #[test]
    fn credentials_are_in_the_page_if_there_are_any_and_cannot_end_their_element() {
        assert!(!text(page("").unwrap()).contains("credentials"));
        let page = text(page(r#"{"bearer": "</script><script>"}"#).unwrap());
        assert!(page.contains(r#"id="credentials">{"bearer": "\u003c/script>\u003cscript>"}</script>"#));
    }

    #[test]
    fn a_page_has_a_nonce_of_its_own() {
        let nonce = || {
            let (_, headers, Body::Text(page)) = page("").unwrap() else { panic!("not text") };
            let (_, policy) = headers.into_iter().find(|(name, _)| *name == "content-security-policy").unwrap();
            let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
            assert!(page.contains(&format!("content=\"{nonce}\"")));
            nonce
        };
        assert_ne!(nonce(), nonce());
    }

    #[test]
    fn what_the_page_loads_is_there_and_nothing_else() {
        let page = text(page("").unwrap());
        let names: Vec<_> = page.split("src=\"docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(names.len(), FILES.len());
        for name in names {
            let (status, headers, Body::Binary(content)) = file(name) else { panic!("{name}: not binary") };
            assert_eq!((status, &content[..2]), (200, &b"\x1f\x8b"[..]), "{name}");
            assert!(headers.contains(&("content-encoding", "gzip".to_owned())), "{name}");
        }
        let (status, _, body) = file("scalar.js");
        assert_eq!((status, body), (404, Body::Text(r#"{"message":"Not Found"}"#.to_owned())));
    }
}
