//! Says which IAM actions a DynamoDB request needs, and whether a function's statements allow them.

use serde_json::Value;

use crate::template::{Statement, table_arn};

/// An action on a resource. IAM decides about such pairs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// For example `dynamodb:PutItem`.
    pub action: String,
    /// The ARN of a table, an index or a stream; `*` if DynamoDB knows no narrower resource.
    pub resource: String,
}

/// Says whether a statement allows one action on one resource. As in IAM, the case of letters matters in resources but not in
/// the names of actions.
pub fn allows(statements: &[Statement], need: &Need) -> bool {
    let action = need.action.to_ascii_lowercase();
    statements.iter().any(|statement| {
        statement.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && statement.resources.iter().any(|pattern| matches(pattern, &need.resource))
    })
}

/// Matches IAM's wildcards: `*` is any text, also an empty one; `?` is one character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The place to go on when a match fails: after the last `*`, one character further in the text.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after_star, next)) => {
                    (p, t) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Returns the actions that `operation` (`TransactWriteItems`) with this JSON body needs, without repetition.
///
/// Returns `None` for PartiQL, which functions may not use: only its parser could say which tables a statement touches.
pub fn needs(operation: &str, body: &Value) -> Option<Vec<Need>> {
    let need = |operation: &str, resource: String| Need { action: format!("dynamodb:{operation}"), resource };
    let table = |request: &Value| request["TableName"].as_str().map_or_else(|| "*".into(), table_arn);
    let mut needs = match operation {
        "BatchGetItem" | "BatchWriteItem" => {
            members(&body["RequestItems"]).map(|(name, _)| need(operation, table_arn(name))).collect()
        }
        "TransactGetItems" | "TransactWriteItems" => parts(body)
            .map(|(kind, request)| {
                let action = if kind == "ConditionCheck" { "ConditionCheckItem".into() } else { format!("{kind}Item") };
                need(&action, table(request))
            })
            .collect(),
        "Query" | "Scan" => {
            let index = body["IndexName"].as_str().map(|index| format!("/index/{index}"));
            vec![need(operation, table(body) + &index.unwrap_or_default())]
        }
        "ExecuteStatement" | "ExecuteTransaction" | "BatchExecuteStatement" => return None,
        _ => {
            let stream = body["StreamArn"].as_str().map(String::from);
            vec![need(operation, stream.unwrap_or_else(|| table(body)))]
        }
    };
    needs.sort();
    needs.dedup();
    Some(needs)
}

/// Returns the parts of a transaction: their kind (`Put`, `Update`, `Delete`, `ConditionCheck`, `Get`) and content.
pub(crate) fn parts(body: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let items = body["TransactItems"].as_array().into_iter().flatten();
    items.flat_map(members)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = value.as_object().into_iter().flatten();
    object.map(|(key, value)| (key.as_str(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn need(action: &str, resource: &str) -> Need {
        Need { action: action.into(), resource: resource.into() }
    }

    #[test]
    fn wildcards_are_those_of_iam() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("dynamodb:*Item", "dynamodb:PutItem", true),
            ("dynamodb:*Item", "dynamodb:PutItems", false),
            ("table/role????", "table/rolecall", true),
            ("table/rolecal?", "table/rolecal", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-c-d", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_no_statement_allows_is_denied() {
        let table = table_arn("rolecall");
        let allow = [Statement { actions: vec!["dynamodb:putitem".into()], resources: vec![table.clone()] }];
        let put = need("dynamodb:PutItem", &table);
        assert!(allows(&allow, &put));
        assert!(!allows(&[], &put));
        assert!(!allows(&allow, &need("dynamodb:GetItem", &table)));
        assert!(!allows(&allow, &need("dynamodb:PutItem", &format!("{table}/index/GSI1"))));
    }

    #[test]
    fn a_transaction_needs_the_actions_of_its_parts() {
        let body = json!({ "TransactItems": [
            { "Put": { "TableName": "t" } },
            { "Update": { "TableName": "t" } },
            { "Delete": { "TableName": "u" } },
            { "ConditionCheck": { "TableName": "t" } },
            { "Update": { "TableName": "t" } },
        ]});
        assert_eq!(
            needs("TransactWriteItems", &body).unwrap(),
            [
                need("dynamodb:ConditionCheckItem", &table_arn("t")),
                need("dynamodb:DeleteItem", &table_arn("u")),
                need("dynamodb:PutItem", &table_arn("t")),
                need("dynamodb:UpdateItem", &table_arn("t")),
            ]
        );
        let body = json!({ "TransactItems": [{ "Get": { "TableName": "t" } }] });
        assert_eq!(needs("TransactGetItems", &body).unwrap(), [need("dynamodb:GetItem", &table_arn("t"))]);
    }

    #[test]
    fn a_query_of_an_index_needs_the_index() {
        let body = json!({ "TableName": "t", "IndexName": "GSI1" });
        assert_eq!(
            needs("Query", &body).unwrap(),
            [need("dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/t/index/GSI1")]
        );
        let body = json!({ "RequestItems": { "t": {}, "u": {} } });
        assert_eq!(needs("BatchGetItem", &body).unwrap().len(), 2);
    }

    #[test]
    fn partiql_is_beyond_statements() {
        assert_eq!(needs("ExecuteStatement", &json!({ "Statement": "SELECT * FROM t" })), None);
    }
}
