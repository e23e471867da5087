//! Policies as text.

/// Each policy of a text with its id. A policy begins with a line `@id("…")`; the comments before the next one come with it.
pub fn each(text: &str) -> Vec<(&str, &str)> {
    let starts: Vec<usize> = text.match_indices("\n@id(\"").map(|(at, _)| at + 1).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let policies = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
    policies.map(|policy| (policy.split('"').nth(1).unwrap_or_default(), policy)).collect()
}

/// The text with another policy in the place of one.
pub fn with(text: &str, policy: &str, other: &str) -> String {
    text.replacen(policy, other, 1)
}
