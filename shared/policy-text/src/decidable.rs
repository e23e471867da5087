//! What Cedar's validator takes, and a decision could not answer.
//!
//! A decision reads the principal and the resource. Of the others that a policy can name, it knows only who they are: they are in no group,
//! and an attribute of theirs would err. So a policy that asks for more is refused, like one that can overflow or takes much memory.

use cedar_policy::PolicySet;
use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp};
use domain::policy::properties::MAX_NUMBER;

/// The most values in a set or a record that are no literals: each can be as large as all permissions of a member.
const MAX_HELD: usize = 20;

/// The attributes that name a second person.
const SECOND: [&str; 3] = ["approver", "impersonator", "maker"];

const UNREAD: &str = "a decision knows who that is and nothing more: compare it with `==` or `!=`, write it to the \
                      right of `in`, or look for it with `contains`; so it is with `approver`, `impersonator`, `maker` \
                      and what the text names, such as `Member::\"5\"`";
const OVERFLOWS: &str = "that can overflow, because a number of the request can be as large as 2^53: multiply less";
const TOO_LARGE: &str = "a set or a record can have at most 20 values that are no literals: split it, as in \
                         `[…].contains(…) || […].contains(…)`";

/// The first part of a text that no decision could answer: where it begins, in bytes, and why.
pub fn first_fault(set: &PolicySet) -> Option<(usize, &'static str)> {
    let mut faults = Vec::new();
    for policy in set.policies() {
        let conditions = policy.as_ref().non_scope_constraints();
        for part in conditions.into_iter().flat_map(|conditions| conditions.subexpressions()) {
            let start = part.source_loc().map_or(0, |place| place.start());
            // What has no such form has an extension, which is refused before.
            let why = Expr::try_from(part.clone()).ok().and_then(|part| fault(&part));
            faults.extend(why.map(|why| (start, why)));
        }
    }
    faults.into_iter().min()
}

/// What is wrong with this part itself, and not with those in it.
fn fault(part: &Expr) -> Option<&'static str> {
    match part {
        Expr::GetAttr { expr, .. } if refers(expr) => Some(UNREAD),
        Expr::HasAttr { expr, attrs } if refers(expr) || (attrs.len() > 1 && attrs.iter().any(|it| is_second(it))) => {
            Some(UNREAD)
        }
        Expr::BinaryOp { op: BinaryOp::In | BinaryOp::HasTag | BinaryOp::GetTag, left, .. } if refers(left) => {
            Some(UNREAD)
        }
        Expr::BinaryOp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. }
        | Expr::UnaryOp { op: UnaryOp::Neg, .. }
            if most(part) > i64::MAX.unsigned_abs().into() =>
        {
            Some(OVERFLOWS)
        }
        Expr::Set(_) | Expr::Record(_) if held(part) > MAX_HELD => Some(TOO_LARGE),
        _ => None,
    }
}

fn is_second(attribute: &str) -> bool {
    SECOND.contains(&attribute)
}

/// Whether its value can be an entity that no request reads, or have one in it.
fn refers(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => matches!(literal, Literal::EntityUID(_)),
        Expr::GetAttr { expr, attr } => is_second(attr) || refers(expr),
        Expr::IfThenElse { then_expr, else_expr, .. } => refers(then_expr) || refers(else_expr),
        Expr::Record(values) => values.values().any(|value| refers(value)),
        _ => false,
    }
}

/// The largest number that a calculation can come to, without its sign.
fn most(expr: &Expr) -> u128 {
    match expr {
        Expr::Literal(Literal::Long(it)) => it.unsigned_abs().into(),
        Expr::UnaryOp { op: UnaryOp::Neg, expr } => most(expr),
        Expr::BinaryOp { op: BinaryOp::Add | BinaryOp::Sub, left, right } => most(left).saturating_add(most(right)),
        Expr::BinaryOp { op: BinaryOp::Mul, left, right } => most(left).saturating_mul(most(right)),
        Expr::IfThenElse { then_expr, else_expr, .. } => most(then_expr).max(most(else_expr)),
        Expr::BinaryOp { op: BinaryOp::GetTag, .. } => MAX_NUMBER.into(),
        Expr::GetAttr { expr, .. } if is_of_request(expr) => MAX_NUMBER.into(),
        // A number of a record in the text, of which we do not know which.
        _ => i64::MAX.unsigned_abs().into(),
    }
}

fn is_of_request(expr: &Expr) -> bool {
    match expr {
        Expr::Var(_) => true,
        Expr::GetAttr { expr, .. } => is_of_request(expr),
        _ => false,
    }
}

/// How many values that are no literals its value can hold.
fn held(expr: &Expr) -> usize {
    match expr {
        Expr::Literal(_) => 0,
        Expr::Set(values) => values.iter().map(|value| held(value)).sum(),
        Expr::Record(values) => values.values().map(|value| held(value)).sum(),
        Expr::IfThenElse { then_expr, else_expr, .. } => held(then_expr).max(held(else_expr)),
        Expr::GetAttr { expr, .. } => held(expr).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use crate::admit;

    /// What is said of a condition when a tenant is to have it.
    fn said(condition: &str) -> Result<(), String> {
        let text = format!("forbid (principal, action == Action::\"member:read\", resource)\nwhen {{ {condition} }};");
        admit(&text).map(drop).map_err(|why| why.to_string())
    }

    /// Cedar's validator takes all of them.
    #[test]
    fn a_policy_asks_for_nothing_that_a_decision_does_not_read() {
        for (condition, column) in [
            ("principal has approver && principal.approver.rank > 1", 34),
            (r#"principal has approver && principal.approver in Group::"1""#, 34),
            (r#"principal has approver && !(principal.approver is Member in Group::"1")"#, 36),
            ("principal has approver && principal.approver has impersonator", 34),
            ("principal has impersonator.approver", 8),
            ("principal has maker && principal.maker.status == \"active\"", 31),
            ("principal has approver && (if principal.rank == 1 then principal.approver else resource).rank == 1", 34),
            ("principal has approver && {a: principal.approver}.a.rank == 1", 34),
            (r#"Member::"5".rank > principal.rank"#, 8),
            (r#"principal.rank == 1 && Member::"5" in Group::"1""#, 31),
        ] {
            let said = said(condition).unwrap_err();
            assert!(said.starts_with("line 2, column "), "{condition}: {said}");
            assert!(said.contains("a decision knows who that is and nothing more"), "{condition}: {said}");
            // A bracket can belong to the part.
            let told: usize = said["line 2, column ".len()..].split(':').next().unwrap().parse().unwrap();
            assert!(told.abs_diff(column) <= 1, "{condition}: {said}");
        }
        for condition in [
            r#"principal has approver && principal.approver == Member::"5""#,
            "principal has approver && principal.approver != resource",
            "principal has approver && [principal.approver].contains(resource)",
            r#"principal in [Group::"1", Group::"2"] && resource in Group::"3""#,
            r#"principal == Member::"5" || resource is Member in Group::"1""#,
            r#"principal.groups.contains(Group::"1") && principal.tenant == resource.tenant"#,
        ] {
            assert_eq!(said(condition), Ok(()), "{condition}");
        }
    }

    #[test]
    fn a_policy_overflows_nowhere() {
        for condition in [
            "context.now.seconds * 1025 > 1798761600000",
            "context.now.seconds + 9223372036854775807 > 0",
            "context.now.seconds * principal.rank > 0",
            "{a: 9223372036854775807}.a + principal.rank > 0",
            "(if principal.rank == 1 then 9223372036854775807 else 1) + 1 > 0",
            "principal.rank < 9223372036854775807 + 1",
            "principal.rank < 3037000500 * 3037000500",
        ] {
            let said = said(condition).unwrap_err();
            assert!(said.starts_with("line 2, column ") && said.contains("that can overflow"), "{condition}: {said}");
        }
        for condition in [
            "context.now.seconds > 1798761600 - 24 * 3600",
            "context.now.hour + 2 < 18 && -principal.rank < resource.rank - 1",
            "context.now.seconds * 1000 > 1798761600000",
        ] {
            assert_eq!(said(condition), Ok(()), "{condition}");
        }
        let of_tag = r#"context.numbers.resource.hasTag("at") && context.now.seconds - context.numbers.resource.getTag("at") > 60"#;
        let text = format!(r#"forbid (principal, action == Action::"permission:use", resource) when {{ {of_tag} }};"#);
        assert!(admit(&text).is_ok());
    }

    #[test]
    fn a_set_holds_few_values_that_are_no_literals() {
        let set = |value: &str, count: usize| format!("[{}]", vec![value; count].join(", "));
        let is_in = |set: &str, value: &str| said(&format!("{set}.contains({value})"));
        let rank = "principal.rank";
        assert_eq!(is_in(&set(rank, 20), "resource.rank"), Ok(()));
        assert_eq!(is_in(&set("1", 1000), "resource.rank"), Ok(()));
        let nested = format!("[{}, {}]", set(rank, 11), set(rank, 10));
        let chosen = format!("[if resource.rank == 1 then {} else [1], {}]", set(rank, 11), set(rank, 10));
        let fields = (0..21).map(|place| format!("a{place}: {rank}")).collect::<Vec<_>>().join(", ");
        for refused in [
            is_in(&set(rank, 21), "resource.rank"),
            is_in(&nested, "[resource.rank]"),
            is_in(&chosen, "[resource.rank]"),
            said(&format!("{{{fields}}}.a0 == 1")),
        ] {
            let said = refused.unwrap_err();
            assert!(said.starts_with("line 2, column ") && said.contains("at most 20 values"), "{said}");
        }
    }
}
