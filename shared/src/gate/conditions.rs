//! The conditions that a client sets for a write.

/// The conditions of a write: `If-Match` and `Idempotency-Key`.
#[derive(Debug, Default)]
pub struct Conditions {
    pub if_match: Option<IfMatch>,
    pub idempotency: Option<Idempotency>,
}

/// RFC 9110, section 13.1.1. A weak tag never matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    OneOf(Vec<String>),
}

impl IfMatch {
    pub fn matches(&self, version: u64) -> bool {
        match self {
            IfMatch::Any => true,
            IfMatch::OneOf(tags) => tags.iter().any(|tag| *tag == version.to_string()),
        }
    }

    /// `None` unless the text is `*` or a list of quoted ASCII tags, as ours are.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" && text.is_ascii() {
            return Some(IfMatch::Any);
        }
        let strong = tags(text)?.into_iter().filter(|(is_weak, _)| !is_weak);
        Some(IfMatch::OneOf(strong.map(|(_, tag)| tag.to_owned()).collect()))
    }
}

/// Whether an `If-None-Match` names a tag, so that the client has the content. Weak tags count, too (RFC 9110, section 13.1.2). A
/// header that is no list of tags names none.
pub(crate) fn names_tag(if_none_match: &str, wanted: &str) -> bool {
    if_none_match.trim() == "*" || tags(if_none_match).is_some_and(|tags| tags.iter().any(|(_, tag)| *tag == wanted))
}

/// The tags of a list, and whether each is weak. `None` unless the text is a list of quoted ASCII tags, as ours are.
fn tags(text: &str) -> Option<Vec<(bool, &str)>> {
    if !text.is_ascii() {
        return None;
    }
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (is_weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        // A tag may have commas in it.
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push((is_weak, tag));
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    /// SHA-256 of method, path, query and body, in hex. The record's key holds tenant and caller.
    pub fingerprint: String,
    /// For how long the answer is kept, in seconds.
    pub kept: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_strong_comparison() {
        let tags = IfMatch::parse(r#""7", W/"8", "9""#).unwrap();
        assert!(tags.matches(7) && tags.matches(9));
        assert!(!tags.matches(8) && !tags.matches(1));
        assert!(IfMatch::parse(" * ").unwrap().matches(1));
        assert!(IfMatch::parse(r#""a,b","7""#).unwrap().matches(7));
        for text in ["", "7", "\"7", "\"7\",", "\"7\" \"8\"", "w/\"7\""] {
            assert_eq!(IfMatch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn if_none_match_is_a_weak_comparison() {
        for text in ["\"ab\"", " * ", "\"x\", W/\"ab\"", "W/\"ab\",\"y\""] {
            assert!(names_tag(text, "ab"), "{text}");
        }
        for text in ["", "ab", "\"a\"", "\"ab", "\"ab\" \"y\"", "\u{e9}", "w/\"ab\""] {
            assert!(!names_tag(text, "ab"), "{text}");
        }
    }
}
