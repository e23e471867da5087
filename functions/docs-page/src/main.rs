use std::fmt::Write;

use shared::problem::Problem;
use shared::{Answer, Call};

/// Each file's name, the hash of its content, and that content, gzipped: `build.rs`.
const FILES: [(&str, &str, &[u8]); 2] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The variable that `cargo run` gives a value: what the page has filled in for demonstration, and a script that changes it.
const CREDENTIALS: &str = "DEMO_CREDENTIALS";

fn docs(call: &Call) -> Result<Answer, Problem> {
    match call.path("file") {
        "" => page(&std::env::var(CREDENTIALS).unwrap_or_default()),
        name => file(name, &call.query),
    }
}

/// `GET /docs`: this reference, as a page to read and to try the calls on.
///
/// Anybody may read it; what it calls asks for a credential.
fn page(credentials: &str) -> Result<Answer, Problem> {
    let nonce = nonce()?;
    // Scalar adds its style sheets to the page. It needs no style attributes and no fonts, see `build.rs`.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Browsers do not execute JSON, so the policy does not block it. Every `<` of JSON is in a string: escaped there, it
    // cannot end the element.
    let credentials = match credentials {
        "" => String::new(),
        json => {
            let json = json.replace('<', "\\u003c");
            format!("\n    <script type=\"application/json\" id=\"credentials\">{json}</script>")
        }
    };
    let [scalar, start] = FILES.map(|(name, hash, _)| format!("{name}?{hash}"));
    let page =
        format!(include_str!("page.html"), nonce = nonce, start = start, scalar = scalar, credentials = credentials);
    Ok(Answer::new(200, "text/html; charset=utf-8", page.into())
        .with_header("cache-control", "no-cache")
        .with_header("content-security-policy", policy)
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff"))
}

/// `GET /docs/{file}`: a script of the page.
///
/// With its hash behind a `?`, as the page asks for it, it may be kept for good. Compressed for every client that asks: every browser
/// takes it so.
fn file(name: &str, hash: &str) -> Result<Answer, Problem> {
    let found = FILES.iter().find(|(it, ..)| *it == name);
    let (_, own, content) = found.ok_or(Problem::NotFound("file"))?;
    // During a deployment, a page of another version still gets its script. Its browser does not keep it.
    let keep = if hash == *own { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(Answer::new(200, "text/javascript; charset=utf-8", (*content).into())
        .with_header("content-encoding", "gzip")
        .with_header("cache-control", keep)
        .with_header("x-content-type-options", "nosniff"))
}

/// 128 random bits in hexadecimal.
fn nonce() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|why| Problem::Internal(why.to_string()))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // INVARIANT: writing to a string does not fail.
        write!(text, "{byte:02x}").expect("a string");
        text
    }))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve_public(docs)
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    fn text(answer: &Answer) -> &str {
        match &answer.body {
            Body::Text(text) => text,
            other => panic!("not text: {other:?}"),
        }
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
        &answer.headers.iter().find(|(it, _)| it == name).unwrap().1
    }

    #[test]
    fn credentials_are_in_the_page_if_there_are_any_and_cannot_end_their_element() {
        assert!(!text(&page("").unwrap()).contains("credentials"));
        let page = page(r#"{"bearer": "</script><script>"}"#).unwrap();
        assert!(text(&page).contains(r#"id="credentials">{"bearer": "\u003c/script>\u003cscript>"}</script>"#));
    }

    #[test]
    fn a_page_has_a_nonce_of_its_own() {
        let nonce = || {
            let page = page("").unwrap();
            let policy = header(&page, "content-security-policy");
            let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
            assert!(text(&page).contains(&format!("content=\"{nonce}\"")));
            nonce
        };
        assert_ne!(nonce(), nonce());
    }

    #[test]
    fn what_the_page_loads_is_there_to_keep_and_nothing_else() {
        let page = page("").unwrap();
        let urls: Vec<_> =
            text(&page).split("src=\"docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(urls.len(), FILES.len());
        for url in urls {
            let (name, hash) = url.split_once('?').unwrap();
            let script = file(name, hash).unwrap();
            let Body::Binary(content) = &script.body else { panic!("{name}: not binary") };
            assert_eq!((script.status, &content[..2]), (200, &b"\x1f\x8b"[..]), "{name}");
            assert!(header(&script, "cache-control").contains("immutable"), "{name}");
            assert_eq!(header(&file(name, "another").unwrap(), "cache-control"), "no-cache", "{name}");
        }
        assert!(matches!(file("page.html", ""), Err(Problem::NotFound(_))));
    }
}

#[test]
fn description() {
    use openapi::Operation;
    use schemars::json_schema;
    let text = json_schema!({ "type": "string" });
    let operation = || Operation::public("docs", "This reference: a page for people, a document for machines.");
    operation()
        .route("GET /docs")
        .content(
            "text/html",
            "The page",
            text.clone(),
            &["cache-control", "content-security-policy", "referrer-policy", "x-content-type-options"],
        )
        .describe();
    operation()
        .route("GET /docs/{file}")
        .path("file", "The name of a script.", json_schema!({ "type": "string", "enum": FILES.map(|(name, ..)| name) }))
        .content(
            "text/javascript",
            "The script",
            text,
            &["cache-control", "content-encoding", "x-content-type-options"],
        )
        .not_found()
        .describe();
}
