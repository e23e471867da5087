//! Says which IAM actions a DynamoDB request needs, and whether a function's statements allow them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::template::{Statement, table_arn};

/// An action on a resource. IAM decides about such pairs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// For example `dynamodb:PutItem`.
    pub action: String,
    /// The ARN of a table, an index or a stream; `*` if DynamoDB knows no narrower resource.
    pub resource: String,
    /// The attributes of the item that an `UpdateItem` names, its key too. Of other operations they are not read: a statement with a
    /// condition on them allows none.
    pub attributes: Option<BTreeSet<String>>,
    /// The partition of the item of a `PutItem`. Of other operations it is not read, either.
    pub partition: Option<String>,
}

/// Says whether a statement allows one action on one resource. As in IAM, the case of letters matters in resources but not in
/// the names of actions.
pub fn allows(statements: &[Statement], need: &Need) -> bool {
    let action = need.action.to_ascii_lowercase();
    statements.iter().any(|statement| {
        statement.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && statement.resources.iter().any(|pattern| matches(pattern, &need.resource))
            && statement.attributes.as_ref().is_none_or(|allowed| {
                need.attributes.as_ref().is_some_and(|named| named.iter().all(|name| allowed.contains(name)))
            })
            && statement.partitions.as_ref().is_none_or(|allowed| {
                need.partition.as_ref().is_some_and(|named| allowed.iter().any(|pattern| matches(pattern, named)))
            })
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
    let need = |operation: &str, resource: String| Need {
        action: format!("dynamodb:{operation}"),
        resource,
        attributes: None,
        partition: None,
    };
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
        "UpdateItem" => vec![Need { attributes: Some(attributes(body)), ..need(operation, table(body)) }],
        "PutItem" => {
            let partition = body["Item"]["PK"]["S"].as_str().map(String::from);
            vec![Need { partition, ..need(operation, table(body)) }]
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

/// Returns the names of the attributes in the key and in the expressions of an `UpdateItem`.
fn attributes(body: &Value) -> BTreeSet<String> {
    const WORDS: [&str; 17] = [
        "SET",
        "REMOVE",
        "ADD",
        "DELETE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "attribute_exists",
        "attribute_not_exists",
        "attribute_type",
        "begins_with",
        "contains",
        "size",
        "if_not_exists",
        "list_append",
    ];
    let expressions = ["UpdateExpression", "ConditionExpression"].into_iter().filter_map(|name| body[name].as_str());
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '#' | ':');
    let words = expressions.flat_map(|text| text.split(move |it| !is_part(it))).filter(|word| !word.is_empty());
    let named = words.filter(|word| !word.starts_with(':') && !WORDS.iter().any(|it| it.eq_ignore_ascii_case(word)));
    let name = |word: &str| body["ExpressionAttributeNames"][word].as_str().unwrap_or(word).to_owned();
    members(&body["Key"]).map(|(name, _)| name.to_owned()).chain(named.map(name)).collect()
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
        Need { action: action.into(), resource: resource.into(), attributes: None, partition: None }
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
        let allow = [Statement {
            actions: vec!["dynamodb:putitem".into()],
            resources: vec![table.clone()],
            attributes: None,
            partitions: None,
        }];
        let put = need("dynamodb:PutItem", &table);
        assert!(allows(&allow, &put));
        assert!(!allows(&[], &put));
        assert!(!allows(&allow, &need("dynamodb:GetItem", &table)));
        assert!(!allows(&allow, &need("dynamodb:PutItem", &format!("{table}/index/GSI1"))));
    }

    #[test]
    fn a_statement_may_allow_a_few_attributes() {
        let names = |body: &Value| needs("UpdateItem", body).unwrap().remove(0);
        let update = |expression: &str, condition: &str| {
            names(&json!({
                "TableName": "t", "Key": { "PK": {}, "SK": {} }, "ExpressionAttributeNames": { "#r": "roles" },
                "UpdateExpression": expression, "ConditionExpression": condition,
            }))
        };
        let allow = [Statement {
            actions: vec!["dynamodb:UpdateItem".into()],
            resources: vec![table_arn("t")],
            attributes: Some(["PK", "SK", "used_at"].map(String::from).into()),
            partitions: None,
        }];
        let condition = "attribute_exists(PK) AND (attribute_not_exists(used_at) OR used_at <= :before)";
        assert!(allows(&allow, &update("SET used_at = :now", condition)));
        for (expression, condition) in [
            ("SET used_at = :now, roles = :all", condition),
            ("SET #r = :all", condition),
            ("SET used_at = if_not_exists(version, :now)", condition),
            ("SET used_at = :now REMOVE roles", condition),
            ("ADD used_at :now", "version = :one"),
        ] {
            assert!(!allows(&allow, &update(expression, condition)), "{expression} {condition}");
        }
        assert!(!allows(&allow, &need("dynamodb:PutItem", &table_arn("t"))));
        // Not in a transaction: there the attributes are not read.
        let body =
            json!({ "TransactItems": [{ "Update": { "TableName": "t", "UpdateExpression": "SET used_at = :now" } }] });
        assert!(!allows(&allow, &needs("TransactWriteItems", &body).unwrap()[0]));
    }

    #[test]
    fn a_statement_may_allow_a_few_partitions() {
        let put = |item: &Value| needs("PutItem", &json!({ "TableName": "t", "Item": item })).unwrap().remove(0);
        let allow = [Statement {
            actions: vec!["dynamodb:PutItem".into()],
            resources: vec![table_arn("t")],
            attributes: None,
            partitions: Some(vec!["TENANT#*#READING#*".into()]),
        }];
        assert!(allows(&allow, &put(&json!({ "PK": { "S": "TENANT#1#READING#7" }, "SK": { "S": "EVENT#1" } }))));
        for item in [
            json!({ "PK": { "S": "TENANT#1" } }),
            json!({ "PK": { "S": "TENANT#1#MEMBER#7" }, "GSI1PK": { "S": "TENANT#1#READING#7" } }),
            json!({}),
        ] {
            assert!(!allows(&allow, &put(&item)), "{item}");
        }
        // Not in a transaction: there the partition is not read.
        let body = json!({ "TransactItems": [{ "Put": { "TableName": "t", "Item": { "PK": { "S": "TENANT#1#READING#7" } } } }] });
        assert!(!allows(&allow, &needs("TransactWriteItems", &body).unwrap()[0]));
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
