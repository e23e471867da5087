//! Those of CloudFormation's parameters and intrinsic functions that the template uses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ACCOUNT, DEFAULT_TABLE, REGION, table_arn};
use crate::{Result, queues, secrets};

/// Returns the parameters with their defaults.
pub(super) fn parameters(declared: &Value) -> Result<BTreeMap<String, Value>> {
    let read = |(name, parameter): (&String, &Value)| match (parameter["Type"].as_str(), &parameter["Default"]) {
        (Some("String" | "Number"), Value::Null) => Err(format!("the parameter `{name}` has no default").into()),
        (Some("String" | "Number"), default) => Ok((name.clone(), default.clone())),
        _ => Err(format!("the parameter `{name}` is neither a String nor a Number").into()),
    };
    declared.as_object().into_iter().flatten().map(read).collect()
}

pub(super) struct Resolver<'a> {
    pub(super) parameters: BTreeMap<String, Value>,
    pub(super) conditions: &'a Value,
    pub(super) resources: &'a Map<String, Value>,
}

/// In every method, `at` is the place of the value, for messages.
impl Resolver<'_> {
    /// Returns a value as text, if it resolves to text, a number or a boolean.
    pub(super) fn text(&self, value: &Value, at: &str) -> Result<String> {
        match self.resolve(value, at)? {
            Value::String(text) => Ok(text),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
            _ => Err(format!("{at}: not text").into()),
        }
    }

    /// Returns the value with the results of its intrinsic functions in their places.
    pub(super) fn resolve(&self, value: &Value, at: &str) -> Result<Value> {
        match value {
            Value::Array(values) => {
                values.iter().enumerate().map(|(i, value)| self.resolve(value, &format!("{at}[{i}]"))).collect()
            }
            Value::Object(object) => match intrinsic(object) {
                Some((name, argument)) => self.call(name, argument, at),
                None => object
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.resolve(value, &format!("{at}.{key}"))?)))
                    .collect(),
            },
            value => Ok(value.clone()),
        }
    }

    fn call(&self, name: &str, argument: &Value, at: &str) -> Result<Value> {
        let argument_list = argument.as_array().map(Vec::as_slice);
        match (name, argument, argument_list) {
            ("Ref", Value::String(name), _) => self.reference(name, at),
            ("Fn::If", _, Some([Value::String(condition), yes, no])) => {
                self.resolve(if self.holds(condition, at)? { yes } else { no }, at)
            }
            ("Fn::Equals", _, Some([one, other])) => Ok((self.text(one, at)? == self.text(other, at)?).into()),
            ("Fn::Not", _, Some([condition])) => Ok((self.resolve(condition, at)? != true).into()),
            ("Fn::GetAtt", Value::String(path), _) => self.attribute(path, at),
            ("Fn::Sub", Value::String(text), _) => self.substitute(text, at),
            ("Fn::Split", _, Some([Value::String(separator), text])) => {
                Ok(self.text(text, at)?.split(separator).collect())
            }
            _ => Err(format!("{at}: {name} is not supported, or not of this form").into()),
        }
    }

    /// Says whether a condition of the template holds.
    fn holds(&self, condition: &str, at: &str) -> Result<bool> {
        match self.conditions.get(condition) {
            Some(value) => Ok(self.resolve(value, &format!("Conditions.{condition}"))? == true),
            None => Err(format!("{at}: no condition is named `{condition}`").into()),
        }
    }

    fn reference(&self, name: &str, at: &str) -> Result<Value> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        Ok(match (name, self.resources.get(name)) {
            ("AWS::Region", _) => REGION.into(),
            ("AWS::StackName", _) => DEFAULT_TABLE.into(),
            ("AWS::URLSuffix", _) => "amazonaws.com".into(),
            ("AWS::Partition", _) => "aws".into(),
            ("AWS::AccountId", _) => ACCOUNT.into(),
            (_, Some(resource)) if resource["Type"] == "AWS::SecretsManager::Secret" => secrets::arn(name).into(),
            (_, Some(resource)) if resource["Type"] == "AWS::SQS::Queue" => queues::url(name).into(),
            (_, Some(resource)) if resource["Type"] == "AWS::DynamoDB::Table" => {
                self.table_name(&resource["Properties"])?.into()
            }
            (_, Some(resource)) => return Err(format!("{at}: cannot refer to {name}, a {}", resource["Type"]).into()),
            (_, None) => return Err(format!("{at}: nothing is named `{name}`").into()),
        })
    }

    fn attribute(&self, path: &str, at: &str) -> Result<Value> {
        let of = path.strip_suffix(".Arn").and_then(|name| Some((name, self.resources.get(name)?)));
        match of.map(|(name, resource)| (name, resource["Type"].as_str().unwrap_or_default(), resource)) {
            Some((_, "AWS::DynamoDB::Table", table)) => Ok(table_arn(&self.table_name(&table["Properties"])?).into()),
            Some((name, "AWS::SQS::Queue", _)) => Ok(queues::arn(name).into()),
            _ => Err(format!("{at}: the attribute `{path}` is not supported").into()),
        }
    }

    pub(super) fn table_name(&self, properties: &Value) -> Result<String> {
        match &properties["TableName"] {
            Value::Null => Ok(DEFAULT_TABLE.into()),
            name => self.text(name, "Table.TableName"),
        }
    }

    /// Replaces each `${Name}` and `${Name.Attribute}`.
    fn substitute(&self, text: &str, at: &str) -> Result<Value> {
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').ok_or_else(|| format!("{at}: a `${{` without its `}}`"))?;
            let value = if name.contains('.') { self.attribute(name, at)? } else { self.reference(name, at)? };
            result += &self.text(&value, at)?;
            result += rest;
        }
        Ok(result.into())
    }
}

/// Returns the name and the argument of an intrinsic function, if the object is a call of one and nothing else.
pub(super) fn intrinsic(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = object.iter().next()?;
    (object.len() == 1 && (name == "Ref" || name.starts_with("Fn::"))).then_some((name, argument))
}
