//! The API of a template: its routes, the functions that take them, and which pages may call.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Cors, Route,
    resources::{Reader, entries, list, only_known},
};
use crate::{Error, Result};

/// The members of an operation and of a body that are used. The others of a body are titles.
const INTEGRATION: &str = "x-amazon-apigateway-integration";
const INTEGRATIONS: &str = "x-amazon-apigateway-integrations";
const CORS: &str = "x-amazon-apigateway-cors";
const BODY: [&str; 5] = ["openapi", "info", "paths", "components", CORS];
const METHODS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

/// What an integration has beside its function.
const CALL: [(&str, &str); 3] = [("type", "aws_proxy"), ("httpMethod", "POST"), ("payloadFormatVersion", "2.0")];

/// In every method, `at` is the place of the value, for messages: `Api.DefinitionBody.paths./v1/users`.
impl Reader<'_> {
    /// Returns the routes of a `DefinitionBody`, each with the resource of its function.
    pub(super) fn routes(&self, body: &Value, at: &str) -> Result<Vec<(String, Route)>> {
        only_known(body, &BODY, at)?;
        only_known(&body["components"], &[INTEGRATIONS], &format!("{at}.components"))?;
        let integrations = &body["components"][INTEGRATIONS];
        let (mut routes, mut called) = (Vec::new(), BTreeSet::new());
        for (path, item) in entries(&body["paths"]) {
            let at = format!("{at}.paths.{path}");
            if item.get("parameters").unwrap_or(&json!([])) != &variables(path, &at)? {
                return Err(format!("{at}.parameters: not the variables of the path").into());
            }
            for (method, operation) in entries(item).filter(|(name, _)| *name != "parameters") {
                let at = format!("{at}.{method}");
                if !METHODS.contains(&method.as_str()) {
                    return Err(format!("{at}: none of {}", METHODS.join(", ")).into());
                }
                only_known(operation, &["operationId", "responses", INTEGRATION], &at)?;
                let reference = operation[INTEGRATION]["$ref"].as_str().unwrap_or_default();
                let name = reference.strip_prefix(&format!("#/components/{INTEGRATIONS}/"));
                let (name, integration) = name
                    .and_then(|name| Some((name, integrations.get(name)?)))
                    .ok_or_else(|| format!("{at}: no integration is named `{reference}`"))?;
                called.insert(name);
                let route = Route {
                    operation: self.0.text(&operation["operationId"], &format!("{at}.operationId"))?,
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                };
                routes.push((self.called(name, integration)?, route));
            }
        }
        match entries(integrations).find(|(name, _)| !called.contains(name.as_str())) {
            Some((name, _)) => Err(format!("{at}.components: no route has the integration `{name}`").into()),
            None => Ok(routes),
        }
    }

    /// Returns the resource of the function that an integration calls. Its name is that of the integration.
    fn called(&self, name: &str, integration: &Value) -> Result<String> {
        let at = format!("the integration `{name}`");
        only_known(integration, &["type", "httpMethod", "payloadFormatVersion", "credentials", "uri"], &at)?;
        if let Some((member, expected)) = CALL.iter().find(|(member, expected)| integration[member] != *expected) {
            return Err(format!("{at}: {member} is not {expected}").into());
        }
        let functions = self.0.resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        let named = |(_, function): &(&String, &Value)| {
            let uri = function["Properties"]["CodeUri"].as_str().unwrap_or_default();
            uri.trim_end_matches('/').rsplit('/').next() == Some(name)
        };
        let uri = |function: &str| {
            let lambda = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions";
            json!({ "Fn::Sub": format!("{lambda}/${{{function}Aliaslive}}/invocations") })
        };
        let function = functions.filter(named).map(|(resource, _)| resource).find(|it| integration["uri"] == uri(it));
        let function = function.ok_or_else(|| format!("{at}: its uri is not that of the alias `live` of `{name}`"))?;
        let role = integration["credentials"]["Fn::GetAtt"].as_str().and_then(|it| it.strip_suffix(".Arn"));
        let role = role.and_then(|role| self.0.resources.get(role)).filter(|it| it["Type"] == "AWS::IAM::Role");
        let policies = role.map(|role| list(&role["Properties"]["Policies"])).into_iter().flatten();
        let mut statements = policies.flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
        let may_call = |statement: &Value| {
            statement["Effect"] == "Allow"
                && statement["Action"] == "lambda:InvokeFunction"
                && list(&statement["Resource"]).any(|it| *it == json!({ "Ref": format!("{function}.Alias") }))
        };
        if statements.any(may_call) {
            Ok(function.clone())
        } else {
            Err(format!("{at}: its role may not call it").into())
        }
    }

    /// Returns which pages may call, if the body says that.
    pub(super) fn cors(&self, body: &Value, at: &str) -> Result<Option<Cors>> {
        let (cors, at) = (&body[CORS], format!("{at}.{CORS}"));
        if cors.is_null() {
            return Ok(None);
        }
        let known = ["allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "allowCredentials", "maxAge"];
        only_known(cors, &known, &at)?;
        let value = |member: &str| self.0.resolve(&cors[member], &format!("{at}.{member}"));
        let texts = |member: &str| {
            let values = value(member)?;
            let texts: Option<Vec<_>> = list(&values).map(|value| value.as_str().map(String::from)).collect();
            texts.ok_or_else(|| Error::from(format!("{at}.{member}: not a list of texts")))
        };
        let origins = texts("allowOrigins")?;
        match origins.iter().find(|origin| origin.contains('*')) {
            Some(origin) => Err(format!("{at}.allowOrigins: wildcards are not supported: `{origin}`").into()),
            None => Ok(Some(Cors {
                origins,
                methods: texts("allowMethods")?,
                headers: texts("allowHeaders")?,
                exposed: texts("exposeHeaders")?,
                credentials: value("allowCredentials")? == true,
                max_age: match value("maxAge")? {
                    Value::Null => 0,
                    seconds => seconds.as_u64().ok_or_else(|| format!("{at}.maxAge: not a whole number"))?,
                },
            })),
        }
    }
}

/// The parameters that the variables of a path need in an OpenAPI document.
fn variables(path: &str, at: &str) -> Result<Value> {
    let mut segments = path.split('/');
    if segments.next() != Some("") || !segments.clone().all(is_segment) {
        return Err(format!("{at}: not a path of text and whole variables").into());
    }
    let names = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    Ok(names.map(|name| json!({ "name": name, "in": "path", "required": true })).collect())
}

/// Says whether a segment is text or `{name}`.
fn is_segment(segment: &str) -> bool {
    let name = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
    name != Some("") && !name.unwrap_or(segment).contains(['{', '}', '+'])
}
