//! Reads `template.yaml`, the SAM template: the only list of routes, functions, environment,
//! timeouts and IAM statements.
//!
//! What is said of functions and of the API is either understood, or known to mean nothing on one
//! machine ([`UNUSED_FUNCTION`], [`UNUSED_API`]), or an error that names the resource and the
//! property; other resources (alarms, queues) and outputs are not looked at.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;

use crate::{Error, Result};

/// The account and region of everything that runs locally.
pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";

/// A template, resolved: no intrinsic function is left in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The stage of the HTTP API: the first segment of its paths, none for `$default`.
    pub stage: String,
    pub cors: Option<Cors>,
    /// The input of `CreateTable`, as the `AWS::DynamoDB::Table` resource defines the table.
    pub table: Value,
    /// The table's `TimeToLiveSpecification`, an input of `UpdateTimeToLive`.
    pub time_to_live: Option<Value>,
    /// In the order of the template.
    pub functions: Vec<Function>,
}

/// A `CorsConfiguration`: which pages of other origins may call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Scheme and host each; no wildcards.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    /// The request headers that a page may set.
    pub headers: Vec<String>,
    /// The headers of an answer that a page may read.
    pub exposed: Vec<String>,
    pub credentials: bool,
    /// Seconds for which a browser may keep the answer to a preflight.
    pub max_age: u64,
}

/// What is used of an `AWS::Serverless::Function`, and what means nothing on one machine.
const USED_FUNCTION: [&str; 7] =
    ["CodeUri", "Description", "Environment", "Events", "MemorySize", "Policies", "Timeout"];
const UNUSED_FUNCTION: [&str; 9] = [
    "Architectures",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "DeadLetterQueue",
    "DeploymentPreference",
    "Handler",
    "LoggingConfig",
    "Runtime",
    "Tracing",
];

/// The same of an `AWS::Serverless::HttpApi`.
const USED_API: [&str; 2] = ["CorsConfiguration", "StageName"];
const UNUSED_API: [&str; 3] = ["AccessLogSettings", "DefaultRouteSettings", "Description"];

/// An `AWS::Serverless::Function` with what `Globals` adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The last segment of `CodeUri`, which is the package's and the binary's name too:
    /// `users-update`.
    pub name: String,
    /// The name of the resource: `UsersUpdateFunction`.
    pub resource: String,
    /// `Kind` in its `Metadata`, which SAM takes and ignores.
    pub kind: Option<Kind>,
    pub description: String,
    pub routes: Vec<Route>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// MB.
    pub memory: u64,
    pub environment: BTreeMap<String, String>,
    pub statements: Vec<Statement>,
}

/// Who may call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody.
    Public,
    /// Whoever shows a credential.
    Credential,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `PATCH`, or `ANY` for every method.
    pub method: String,
    /// `/v1/users/{id}`, `/files/{path+}` with a greedy variable, or `$default` for what no other
    /// route takes.
    pub path: String,
}

/// An IAM statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub effect: Effect,
    /// With IAM's wildcards.
    pub actions: Vec<String>,
    /// ARNs, with IAM's wildcards.
    pub resources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// The ARN of a local table; a table that is named by its ARN keeps it.
pub fn table_arn(name: &str) -> String {
    if name.starts_with("arn:") { name.into() } else { format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}") }
}

/// The ARN of a local function.
pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// The folder of `template.yaml`: the current one or the nearest above it, else above the crate
/// that cargo runs.
pub fn find_root() -> Result<PathBuf> {
    let current = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    [Some(current), package]
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .find(|folder| folder.join("template.yaml").is_file())
        .map(PathBuf::from)
        .ok_or_else(|| "no `template.yaml` in this folder or above it".to_string().into())
}

impl Template {
    /// Reads a template file with the defaults of its parameters.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not YAML, or says something that is not understood.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text, &BTreeMap::new()).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Reads the text of a template; `parameters` override the defaults of its parameters.
    ///
    /// # Errors
    ///
    /// The text is not YAML, or says something that is not understood.
    pub fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let mut yaml: Yaml = serde_norway::from_str(text).map_err(|error| format!("not YAML: {error}"))?;
        yaml.apply_merge().map_err(|error| format!("not YAML: {error}"))?;
        let root = long_form(yaml)?;
        let reader = Reader {
            parameters: read_parameters(&root["Parameters"], parameters)?,
            resources: root["Resources"].as_object().ok_or("no `Resources`".to_string())?,
        };
        let (_, table) = reader.only("AWS::DynamoDB::Table")?.ok_or("no AWS::DynamoDB::Table".to_string())?;
        let none = Value::Null;
        let (api, properties) = match reader.only("AWS::Serverless::HttpApi")? {
            Some((name, api)) => (name.as_str(), &api["Properties"]),
            None => ("", &none),
        };
        only_known(properties, &[&USED_API[..], &UNUSED_API].concat(), api)?;
        let stage = match &properties["StageName"] {
            Value::Null => "$default".into(),
            stage => reader.text(stage, &format!("{api}.StageName"))?,
        };
        let cors = match &properties["CorsConfiguration"] {
            Value::Null => None,
            cors => Some(reader.cors(cors, &format!("{api}.CorsConfiguration"))?),
        };
        only_known(&root["Globals"], &["Function"], "Globals")?;
        let functions = reader
            .resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
            .map(|(name, resource)| reader.function(name, resource, &root["Globals"]["Function"]))
            .collect::<Result<Vec<_>>>()?;
        let (table, time_to_live) = (reader.table(table)?, reader.time_to_live(table)?);
        let template = Template { stage, cors, table, time_to_live, functions };
        template.refuse_repetition()?;
        Ok(template)
    }

    /// The name of the table.
    pub fn table_name(&self) -> &str {
        self.table["TableName"].as_str().unwrap_or(DEFAULT_TABLE)
    }

    /// The function with this name (`users-update`).
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    fn refuse_repetition(&self) -> Result<()> {
        let (mut names, mut routes) = (BTreeMap::new(), BTreeMap::new());
        for function in &self.functions {
            if let Some(other) = names.insert(&function.name, &function.resource) {
                let (name, resource) = (&function.name, &function.resource);
                return Err(format!("{resource}.CodeUri: {other} is named `{name}` too").into());
            }
            for Route { method, path } in &function.routes {
                // Two routes that differ in the names of their variables only are the same to API
                // Gateway.
                let shape: Vec<_> = path
                    .split('/')
                    .map(|segment| match segment {
                        _ if segment.ends_with("+}") => "{+}",
                        _ if segment.starts_with('{') => "{}",
                        _ => segment,
                    })
                    .collect();
                if let Some(other) = routes.insert((method, shape), &function.resource) {
                    let resource = &function.resource;
                    return Err(format!("{resource}.Events: {other} has the route `{method} {path}` too").into());
                }
            }
        }
        Ok(())
    }
}

const DEFAULT_TABLE: &str = "rolecall";

/// YAML as JSON, with `!Sub x` written as `{"Fn::Sub": x}`.
fn long_form(yaml: Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(value) => serde_json::to_value(value).map_err(|error| error.to_string())?,
        Yaml::String(value) => value.into(),
        Yaml::Sequence(values) => values.into_iter().map(long_form).collect::<Result<Vec<_>>>()?.into(),
        Yaml::Mapping(entries) => entries
            .into_iter()
            .map(|(key, value)| match key {
                Yaml::String(key) => Ok((key, long_form(value)?)),
                key => Err(Error::from(format!("a key that is not text: {key:?}"))),
            })
            .collect::<Result<Map<_, _>>>()?
            .into(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                "Ref" => "Ref".into(),
                name => format!("Fn::{name}"),
            };
            json!({ name: long_form(tagged.value)? })
        }
    })
}

fn read_parameters(declared: &Value, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, Option<Value>>> {
    let declared = declared.as_object().cloned().unwrap_or_default();
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(format!("no parameter `{unknown}`").into());
    }
    let read = |(name, parameter): (String, Value)| {
        let value = match (given.get(&name), &parameter["Default"]) {
            (Some(given), _) => Some(Value::from(given.clone())),
            (None, Value::Null) => None,
            (None, default) => Some(default.clone()),
        };
        let is_list = parameter["Type"].as_str().is_some_and(|kind| kind.contains("List"));
        let value = match value {
            Some(Value::String(text)) if is_list => Some(text.split(',').map(str::trim).collect()),
            Some(Value::String(text)) if parameter["Type"] == "Number" => {
                let number = serde_json::from_str(&text).ok().filter(Value::is_number);
                Some(number.ok_or_else(|| format!("the parameter `{name}` is a number, not `{text}`"))?)
            }
            value => value,
        };
        Ok((name, value))
    };
    declared.into_iter().map(read).collect()
}

struct Reader<'a> {
    parameters: BTreeMap<String, Option<Value>>,
    resources: &'a Map<String, Value>,
}

/// In every method `at` is where the value stands, for messages:
/// `UsersUpdateFunction.Policies[0].Action`.
impl Reader<'_> {
    /// The one resource of this type, if any.
    fn only(&self, kind: &str) -> Result<Option<(&String, &Value)>> {
        let mut found = self.resources.iter().filter(|(_, resource)| resource["Type"] == kind);
        match (found.next(), found.next()) {
            (Some((first, _)), Some((second, _))) => Err(format!("{first}, {second}: more than one {kind}").into()),
            (Some((name, resource)), None) => {
                refuse(resource, &["Condition"], name)?;
                Ok(Some((name, resource)))
            }
            (None, _) => Ok(None),
        }
    }

    fn cors(&self, cors: &Value, at: &str) -> Result<Cors> {
        let known = ["AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "AllowCredentials", "MaxAge"];
        only_known(cors, &known, at)?;
        let value = |property: &str| self.resolve(&cors[property], &format!("{at}.{property}"));
        let texts = |property: &str| {
            let values = value(property)?;
            let texts: Option<Vec<_>> = list(&values).map(|value| value.as_str().map(String::from)).collect();
            texts.ok_or_else(|| Error::from(format!("{at}.{property}: not a list of texts")))
        };
        let origins = texts("AllowOrigins")?;
        match origins.iter().find(|origin| origin.contains('*')) {
            Some(origin) => Err(format!("{at}.AllowOrigins: wildcards are not supported: `{origin}`").into()),
            None => Ok(Cors {
                origins,
                methods: texts("AllowMethods")?,
                headers: texts("AllowHeaders")?,
                exposed: texts("ExposeHeaders")?,
                credentials: value("AllowCredentials")? == true,
                max_age: match value("MaxAge")? {
                    Value::Null => 0,
                    seconds => seconds.as_u64().ok_or_else(|| format!("{at}.MaxAge: not a whole number"))?,
                },
            }),
        }
    }

    fn table(&self, table: &Value) -> Result<Value> {
        let mut input = json!({ "TableName": self.table_name(table)? });
        for property in [
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "BillingMode",
            "ProvisionedThroughput",
            "StreamSpecification",
        ] {
            if let Some(value) = table["Properties"].get(property) {
                input[property] = self.resolve(value, &format!("Table.{property}"))?;
            }
        }
        // CloudFormation leaves out what CreateTable asks for.
        if let Some(Value::Object(stream)) = input.get_mut("StreamSpecification") {
            stream.insert("StreamEnabled".into(), true.into());
        }
        Ok(input)
    }

    fn table_name(&self, table: &Value) -> Result<String> {
        match &table["Properties"]["TableName"] {
            Value::Null => Ok(DEFAULT_TABLE.into()),
            name => self.text(name, "Table.TableName"),
        }
    }

    fn time_to_live(&self, table: &Value) -> Result<Option<Value>> {
        let specification = table["Properties"].get("TimeToLiveSpecification");
        specification.map(|value| self.resolve(value, "Table.TimeToLiveSpecification")).transpose()
    }

    fn function(&self, resource: &str, definition: &Value, globals: &Value) -> Result<Function> {
        refuse(definition, &["Condition"], resource)?;
        let mut properties = globals.clone();
        merge(&mut properties, &definition["Properties"]);
        only_known(&properties, &[&USED_FUNCTION[..], &UNUSED_FUNCTION].concat(), resource)?;
        let at = |property: &str| format!("{resource}.{property}");
        let number = |property: &str, default: u64| match &properties[property] {
            Value::Null => Ok(default),
            value => self
                .resolve(value, &at(property))?
                .as_u64()
                .ok_or_else(|| Error::from(format!("{}: not a whole number", at(property)))),
        };
        let description = match &properties["Description"] {
            Value::Null => String::new(),
            value => self.text(value, &at("Description"))?,
        };
        let statements = list(&properties["Policies"])
            .enumerate()
            .map(|(i, policy)| self.statements(policy, &at(&format!("Policies[{i}]"))))
            .collect::<Result<Vec<_>>>()?
            .concat();
        let environment = entries(&properties["Environment"]["Variables"])
            .map(|(name, value)| Ok((name.clone(), self.text(value, &at(&format!("Environment.{name}")))?)))
            .collect::<Result<_>>()?;
        let routes = entries(&properties["Events"])
            .map(|(name, event)| self.route(event, &at(&format!("Events.{name}"))))
            .collect::<Result<Vec<_>>>()?;
        if routes.is_empty() {
            return Err(format!("{}: no event of type HttpApi, so nothing can call it", at("Events")).into());
        }
        let kind = match &definition["Metadata"]["Kind"] {
            Value::Null => None,
            kind if kind == "public" => Some(Kind::Public),
            kind if kind == "credential" => Some(Kind::Credential),
            kind => return Err(format!("{}: neither credential nor public, but {kind}", at("Metadata.Kind")).into()),
        };
        Ok(Function {
            kind,
            name: self.function_name(resource, &properties)?,
            resource: resource.into(),
            description,
            routes,
            // The defaults are Lambda's.
            timeout: Duration::from_secs(number("Timeout", 3)?),
            memory: number("MemorySize", 128)?,
            environment,
            statements,
        })
    }

    fn function_name(&self, resource: &str, properties: &Value) -> Result<String> {
        let uri = self.text(&properties["CodeUri"], &format!("{resource}.CodeUri"))?;
        let name = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() || name == "." {
            return Err(format!("{resource}.CodeUri: `{uri}` names no folder of a function").into());
        }
        Ok(name.into())
    }

    fn route(&self, event: &Value, at: &str) -> Result<Route> {
        if event["Type"] != "HttpApi" {
            return Err(format!("{at}: only events of type HttpApi are supported, not {}", event["Type"]).into());
        }
        let properties = &event["Properties"];
        if let Some((key, _)) = entries(properties)
            .find(|(key, _)| !["ApiId", "Method", "Path", "PayloadFormatVersion"].contains(&key.as_str()))
        {
            return Err(format!("{at}.{key}: not supported").into());
        }
        match &properties["PayloadFormatVersion"] {
            Value::Null => {}
            version if version == "2.0" => {}
            version => {
                return Err(format!("{at}.PayloadFormatVersion: only \"2.0\" is supported, not {version}").into());
            }
        }
        let text = |property: &str| match &properties[property] {
            Value::Null => Ok(None),
            value => self.text(value, &format!("{at}.{property}")).map(Some),
        };
        let (method, path) = match (text("Method")?, text("Path")?) {
            (None, None) => ("ANY".into(), "$default".into()),
            (_, Some(path)) if path == "$default" => ("ANY".into(), path),
            (Some(method), Some(path)) => (method.to_ascii_uppercase(), path),
            _ => return Err(format!("{at}: needs both Method and Path, or neither").into()),
        };
        let mut segments = path.split('/').skip(1).peekable();
        let well_formed = path == "$default"
            || path.starts_with('/')
                && std::iter::from_fn(|| segments.next().map(|segment| (segment, segments.peek().is_none())))
                    .all(|(segment, last)| is_segment(segment, last));
        if !well_formed {
            return Err(format!("{at}.Path: `{path}` is not a path that API Gateway takes").into());
        }
        Ok(Route { method: if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" { "ANY".into() } else { method }, path })
    }

    fn statements(&self, policy: &Value, at: &str) -> Result<Vec<Statement>> {
        if let Value::String(name) = policy {
            return Err(format!("{at}: the managed policy `{name}` is not supported, write its statements").into());
        }
        let policy = self.resolve(policy, at)?;
        if let Some((key, _)) =
            entries(&policy).find(|(key, _)| !["Version", "Id", "Statement"].contains(&key.as_str()))
        {
            return Err(format!("{at}.{key}: not supported, write statements").into());
        }
        let mut statements = Vec::new();
        for (i, statement) in list(&policy["Statement"]).enumerate() {
            let at = format!("{at}.Statement[{i}]");
            if let Some((key, _)) =
                entries(statement).find(|(key, _)| !["Sid", "Effect", "Action", "Resource"].contains(&key.as_str()))
            {
                return Err(format!("{at}.{key}: not supported").into());
            }
            let texts = |property: &str| {
                let values: Option<Vec<_>> =
                    list(&statement[property]).map(|value| value.as_str().map(String::from)).collect();
                values
                    .filter(|values| !values.is_empty())
                    .ok_or_else(|| Error::from(format!("{at}.{property}: neither text nor a list of texts")))
            };
            statements.push(Statement {
                effect: match statement["Effect"].as_str() {
                    Some("Allow") => Effect::Allow,
                    Some("Deny") => Effect::Deny,
                    _ => return Err(format!("{at}.Effect: neither Allow nor Deny").into()),
                },
                actions: texts("Action")?,
                resources: texts("Resource")?,
            });
        }
        if statements.is_empty() {
            return Err(format!("{at}: no Statement").into());
        }
        Ok(statements)
    }

    /// A value that comes to text, a number or a boolean, as text.
    fn text(&self, value: &Value, at: &str) -> Result<String> {
        match self.resolve(value, at)? {
            Value::String(text) => Ok(text),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
            _ => Err(format!("{at}: not text").into()),
        }
    }

    /// The value with its intrinsic functions replaced by what they come to.
    fn resolve(&self, value: &Value, at: &str) -> Result<Value> {
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
        let malformed = || Error::from(format!("{at}: malformed {name}"));
        match name {
            "Ref" => self.reference(argument.as_str().ok_or_else(malformed)?, at),
            "Fn::GetAtt" => match (argument, argument.as_array().map(Vec::as_slice)) {
                (Value::String(path), _) => self.attribute(path, at),
                (_, Some([Value::String(resource), Value::String(attribute)])) => {
                    self.attribute(&format!("{resource}.{attribute}"), at)
                }
                _ => Err(malformed()),
            },
            "Fn::Join" => {
                let Some([Value::String(separator), values]) = argument.as_array().map(Vec::as_slice) else {
                    return Err(malformed());
                };
                let Value::Array(values) = self.resolve(values, at)? else {
                    return Err(malformed());
                };
                let texts: Result<Vec<_>> = values.iter().map(|value| self.text(value, at)).collect();
                Ok(texts?.join(separator).into())
            }
            "Fn::Split" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(separator), text]) => Ok(self.text(text, at)?.split(separator).collect()),
                _ => Err(malformed()),
            },
            "Fn::Sub" => match (argument, argument.as_array().map(Vec::as_slice)) {
                (Value::String(text), _) => self.substitute(text, &Map::new(), at),
                (_, Some([Value::String(text), Value::Object(variables)])) => self.substitute(text, variables, at),
                _ => Err(malformed()),
            },
            name => Err(format!("{at}: {name} is not supported").into()),
        }
    }

    fn reference(&self, name: &str, at: &str) -> Result<Value> {
        if let Some(parameter) = self.parameters.get(name) {
            let missing = || format!("{at}: the parameter `{name}` has no default").into();
            return parameter.clone().ok_or_else(missing);
        }
        let text = match name {
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::Partition" => "aws".into(),
            "AWS::Region" => REGION.into(),
            "AWS::StackName" => DEFAULT_TABLE.into(),
            "AWS::URLSuffix" => "amazonaws.com".into(),
            _ => match self.resources.get(name) {
                Some(resource) if resource["Type"] == "AWS::DynamoDB::Table" => self.table_name(resource)?,
                Some(resource) if resource["Type"] == "AWS::Serverless::Function" => {
                    self.function_name(name, &resource["Properties"])?
                }
                Some(resource) => {
                    return Err(format!("{at}: cannot refer to {name}, a {}", resource["Type"]).into());
                }
                None => return Err(format!("{at}: nothing is named `{name}`").into()),
            },
        };
        Ok(text.into())
    }

    fn attribute(&self, path: &str, at: &str) -> Result<Value> {
        let unsupported = || Error::from(format!("{at}: the attribute `{path}` is not supported"));
        let (name, attribute) = path.split_once('.').ok_or_else(unsupported)?;
        let kind = self.resources.get(name).map(|resource| &resource["Type"]);
        match (kind.and_then(Value::as_str), attribute) {
            (Some("AWS::DynamoDB::Table"), "Arn") => Ok(table_arn(&self.table_name(&self.resources[name])?).into()),
            (Some("AWS::Serverless::Function"), "Arn") => {
                Ok(function_arn(&self.function_name(name, &self.resources[name]["Properties"])?).into())
            }
            _ => Err(unsupported()),
        }
    }

    /// Replaces each `${Name}` and `${Name.Attribute}`; `${!Name}` stands for `${Name}` itself.
    fn substitute(&self, text: &str, variables: &Map<String, Value>, at: &str) -> Result<Value> {
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').ok_or_else(|| format!("{at}: a `${{` without its `}}`"))?;
            if let Some(literal) = name.strip_prefix('!') {
                result += &format!("${{{literal}}}");
            } else if let Some(variable) = variables.get(name) {
                result += &self.text(variable, at)?;
            } else if name.contains('.') {
                result += &self.text(&self.attribute(name, at)?, at)?;
            } else {
                result += &self.text(&self.reference(name, at)?, at)?;
            }
            result += rest;
        }
        Ok(result.into())
    }
}

/// Static text, `{name}`, or last of all `{name+}`.
fn is_segment(segment: &str, last: bool) -> bool {
    match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        Some(name) => {
            let name = if last { name.strip_suffix('+').unwrap_or(name) } else { name };
            !name.is_empty() && !name.contains(['{', '}', '+'])
        }
        None => !segment.contains(['{', '}']),
    }
}

/// The function of an object that is nothing but a call of one, and its argument.
fn intrinsic(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = object.iter().next()?;
    (object.len() == 1 && (name == "Ref" || name.starts_with("Fn::"))).then_some((name, argument))
}

fn refuse(object: &Value, properties: &[&str], at: &str) -> Result<()> {
    match properties.iter().find(|property| !object[**property].is_null()) {
        Some(property) => Err(format!("{at}.{property}: not supported").into()),
        None => Ok(()),
    }
}

fn only_known(object: &Value, known: &[&str], at: &str) -> Result<()> {
    if !object.is_object() && !object.is_null() {
        return Err(format!("{at}: not a map").into());
    }
    match entries(object).find(|(property, _)| !known.contains(&property.as_str())) {
        Some((property, _)) => Err(format!("{at}.{property}: not supported").into()),
        None => Ok(()),
    }
}

/// SAM's merging of `Globals`: maps are merged, lists joined, anything else is replaced.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) if intrinsic(base).is_none() && intrinsic(over).is_none() => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over.iter().cloned()),
        (base, over) => *base = over.clone(),
    }
}

/// The elements of a list; another value is a list of itself, and null is empty.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(values) => values.as_slice(),
        Value::Null => &[],
        value => std::slice::from_ref(value),
    }
    .iter()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      DeletionProtectionEnabled: true
      KeySchema: [{ AttributeName: PK, KeyType: HASH }]
      StreamSpecification: { StreamViewType: KEYS_ONLY }
      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }
";

    /// A template with one function whose properties are `properties`.
    fn parse(properties: &str) -> Result<Template> {
        let text = format!(
            "Parameters:
  Origins: {{ Type: CommaDelimitedList, Default: 'a, b' }}
  Secret: {{ Type: String }}
Globals:
  Function:
    Timeout: 10
    Environment: {{ Variables: {{ TABLE: !Ref Table, LEVEL: info }} }}
Resources:
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {{ StageName: main }} }}
  Alarm: {{ Type: AWS::CloudWatch::Alarm, Properties: !Cidr nonsense }}
{TABLE}  ThingGetFunction:
    Type: AWS::Serverless::Function
    Properties: {{ CodeUri: functions/thing-get/, {properties} }}
"
        );
        Template::parse(&text, &BTreeMap::new())
    }

    fn refusal(properties: &str) -> String {
        parse(properties).unwrap_err().to_string()
    }

    const EVENTS: &str = "Events: { Http: { Type: HttpApi, Properties: { Method: get, Path: '/t/{id}' } } }";

    #[test]
    fn the_template_of_the_repository_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let template = Template::load(&root.join("template.yaml")).unwrap();
        assert_eq!((template.stage.as_str(), template.table_name()), ("main", "rolecall"));
        let function = template.function("users-update").unwrap();
        assert_eq!(function.environment["ALLOWED_ORIGINS"], "https://no-origin.invalid");
        assert_eq!((function.environment["TABLE"].as_str(), function.memory), ("rolecall", 256));
        assert_eq!(template.cors.as_ref().unwrap().origins, ["https://no-origin.invalid"]);
        assert_eq!(function.statements[0].resources[0], table_arn("rolecall"));
    }

    #[test]
    fn the_table_is_what_create_table_takes() {
        let template = parse(EVENTS).unwrap();
        assert_eq!(
            template.table,
            json!({
                "TableName": "rolecall",
                "KeySchema": [{ "AttributeName": "PK", "KeyType": "HASH" }],
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": { "StreamViewType": "KEYS_ONLY", "StreamEnabled": true },
            })
        );
        assert_eq!(template.time_to_live.unwrap()["AttributeName"], "expires_at");
    }

    #[test]
    fn globals_are_merged_and_functions_resolved() {
        let template = parse(&format!(
            "{EVENTS}, MemorySize: 512, Environment: {{ Variables: {{ LEVEL: debug, SIZE: 7,
               ORIGINS: {{ 'Fn::Join': ['|', {{ Ref: Origins }}] }},
               TEXT: !Sub ['${{Table.Arn}}/index/${{!x}}/${{Own}}/${{AWS::Region}}', {{ Own: !Ref Table }}] }} }}"
        ))
        .unwrap();
        let function = &template.functions[0];
        assert_eq!((function.timeout, function.memory), (Duration::from_secs(10), 512));
        let expected = [
            ("LEVEL", "debug"),
            ("ORIGINS", "a|b"),
            ("SIZE", "7"),
            ("TABLE", "rolecall"),
            ("TEXT", "arn:aws:dynamodb:us-east-1:000000000000:table/rolecall/index/${x}/rolecall/us-east-1"),
        ];
        let actual: Vec<_> = function.environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn parameters_can_be_given() {
        let text =
            format!("Parameters: {{ Name: {{ Type: String }} }}\nResources:\n{TABLE}      TableName: !Ref Name\n");
        let given = BTreeMap::from([("Name".into(), "other".into())]);
        assert_eq!(Template::parse(&text, &given).unwrap().table_name(), "other");
        let error = Template::parse(&text, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "Table.TableName: the parameter `Name` has no default");
        let unknown = BTreeMap::from([("Nome".into(), "other".into())]);
        assert_eq!(Template::parse(&text, &unknown).unwrap_err().to_string(), "no parameter `Nome`");
    }

    #[test]
    fn a_number_may_be_given_as_text() {
        let text = format!(
            "Parameters: {{ Size: {{ Type: Number, Default: 256 }} }}\nResources:\n{TABLE}  ThingGetFunction:
    Type: AWS::Serverless::Function
    Properties: {{ CodeUri: functions/thing-get/, MemorySize: !Ref Size, {EVENTS} }}\n"
        );
        let parse = |size: &str| Template::parse(&text, &BTreeMap::from([("Size".into(), size.into())]));
        assert_eq!(Template::parse(&text, &BTreeMap::new()).unwrap().functions[0].memory, 256);
        assert_eq!(parse("512").unwrap().functions[0].memory, 512);
        assert_eq!(parse("big").unwrap_err().to_string(), "the parameter `Size` is a number, not `big`");
    }

    #[test]
    fn the_api_says_which_pages_may_call() {
        let parse = |api: &str| {
            let text = format!(
                "Parameters: {{ Origins: {{ Type: String, Default: 'https://a,https://b' }} }}\nResources:
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {{ {api} }} }}\n{TABLE}"
            );
            Template::parse(&text, &BTreeMap::new())
        };
        let cors = "AllowOrigins: !Split [',', !Ref Origins], AllowHeaders: [etag], AllowCredentials: true, MaxAge: 60";
        let template = parse(&format!("CorsConfiguration: {{ {cors} }}, AccessLogSettings: !Cidr nonsense")).unwrap();
        let expected = Cors {
            origins: vec!["https://a".into(), "https://b".into()],
            methods: vec![],
            headers: vec!["etag".into()],
            exposed: vec![],
            credentials: true,
            max_age: 60,
        };
        assert_eq!((template.stage.as_str(), template.cors), ("$default", Some(expected)));
        for (api, expected) in [
            ("Auth: {}", "Api.Auth: not supported"),
            ("CorsConfiguration: true", "Api.CorsConfiguration: not a map"),
            ("CorsConfiguration: { AllowAll: true }", "Api.CorsConfiguration.AllowAll: not supported"),
            ("CorsConfiguration: { MaxAge: long }", "Api.CorsConfiguration.MaxAge: not a whole number"),
            (
                "CorsConfiguration: { AllowOrigins: ['https://*'] }",
                "Api.CorsConfiguration.AllowOrigins: wildcards are not supported: `https://*`",
            ),
        ] {
            assert_eq!(parse(api).unwrap_err().to_string(), expected);
        }
        let globals = format!("Globals: {{ HttpApi: {{ Auth: {{}} }} }}\nResources:\n{TABLE}");
        let error = Template::parse(&globals, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "Globals.HttpApi: not supported");
    }

    #[test]
    fn a_function_may_have_several_routes() {
        let template = parse(
            "Events: { A: { Type: HttpApi }, B: { Type: HttpApi, Properties: { Method: ANY, Path: '/f/{path+}' } } }",
        )
        .unwrap();
        let route = |method: &str, path: &str| Route { method: method.into(), path: path.into() };
        assert_eq!(template.functions[0].routes, [route("ANY", "$default"), route("ANY", "/f/{path+}")]);
    }

    #[test]
    fn a_function_says_who_may_call_it() {
        let kind = |metadata: &str| {
            let text = format!(
                "Resources:\n{TABLE}  ThingGetFunction: {{ Type: AWS::Serverless::Function, {metadata}
    Properties: {{ CodeUri: functions/thing-get/, {EVENTS} }} }}\n"
            );
            Template::parse(&text, &BTreeMap::new()).map(|template| template.functions[0].kind)
        };
        assert_eq!(kind("Metadata: { BuildMethod: rust-cargolambda, Kind: public },"), Ok(Some(Kind::Public)));
        assert_eq!(kind("Metadata: { Kind: credential },"), Ok(Some(Kind::Credential)));
        assert_eq!(kind(""), Ok(None));
        let error = kind("Metadata: { Kind: Public },").unwrap_err().to_string();
        assert_eq!(error, "ThingGetFunction.Metadata.Kind: neither credential nor public, but \"Public\"");
    }

    #[test]
    fn statements_are_lists_or_single() {
        let policies =
            "Policies: { Statement: { Effect: Deny, Action: 'dynamodb:*', Resource: [!Sub '${Table.Arn}/*', x] } }";
        let template = parse(&format!("{EVENTS}, {policies}")).unwrap();
        assert_eq!(
            template.functions[0].statements,
            [Statement {
                effect: Effect::Deny,
                actions: vec!["dynamodb:*".into()],
                resources: vec![format!("{}/*", table_arn("rolecall")), "x".into()],
            }]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let statement = |rest: &str| format!("{EVENTS}, Policies: [{{ Statement: [{{ {rest} }}] }}]");
        for (properties, expected) in [
            ("Timeout: 3".into(), "ThingGetFunction.Events: no event of type HttpApi, so nothing can call it"),
            (
                "Events: { Queue: { Type: SQS } }".into(),
                "ThingGetFunction.Events.Queue: only events of type HttpApi are supported, not \"SQS\"",
            ),
            (
                "Events: { A: { Type: HttpApi, Properties: { Method: GET, Path: /a, Auth: {} } } }".into(),
                "ThingGetFunction.Events.A.Auth: not supported",
            ),
            (
                "Events: { A: { Type: HttpApi, Properties: { Method: GET, Path: '/v{version}' } } }".into(),
                "ThingGetFunction.Events.A.Path: `/v{version}` is not a path that API Gateway takes",
            ),
            (
                format!("{EVENTS}, Policies: AmazonDynamoDBFullAccess"),
                "ThingGetFunction.Policies[0]: the managed policy `AmazonDynamoDBFullAccess` is not supported, write its statements",
            ),
            (
                format!("{EVENTS}, Policies: [{{ DynamoDBCrudPolicy: {{ TableName: !Ref Table }} }}]"),
                "ThingGetFunction.Policies[0].DynamoDBCrudPolicy: not supported, write statements",
            ),
            (
                statement("Effect: Allow, Action: a, Resource: b, Condition: {}"),
                "ThingGetFunction.Policies[0].Statement[0].Condition: not supported",
            ),
            (
                statement("Effect: Allow, NotAction: a, Resource: b"),
                "ThingGetFunction.Policies[0].Statement[0].NotAction: not supported",
            ),
            (
                statement("Effect: Allow, Action: a"),
                "ThingGetFunction.Policies[0].Statement[0].Resource: neither text nor a list of texts",
            ),
            (
                statement("Effect: allow, Action: a, Resource: b"),
                "ThingGetFunction.Policies[0].Statement[0].Effect: neither Allow nor Deny",
            ),
            (
                statement("Effect: Allow, Action: a, Resource: !ImportValue x"),
                "ThingGetFunction.Policies[0].Statement[0].Resource: Fn::ImportValue is not supported",
            ),
            (format!("{EVENTS}, Role: arn"), "ThingGetFunction.Role: not supported"),
            (format!("{EVENTS}, Layers: [arn]"), "ThingGetFunction.Layers: not supported"),
            (format!("{EVENTS}, Timeout: soon"), "ThingGetFunction.Timeout: not a whole number"),
            (
                format!("{EVENTS}, Environment: {{ Variables: {{ X: !GetAtt Table.StreamArn }} }}"),
                "ThingGetFunction.Environment.X: the attribute `Table.StreamArn` is not supported",
            ),
            (
                format!("{EVENTS}, Environment: {{ Variables: {{ X: !Ref Tabel }} }}"),
                "ThingGetFunction.Environment.X: nothing is named `Tabel`",
            ),
            (
                format!("{EVENTS}, Environment: {{ Variables: {{ X: !Ref Secret }} }}"),
                "ThingGetFunction.Environment.X: the parameter `Secret` has no default",
            ),
        ] {
            assert_eq!(refusal(&properties), expected);
        }
    }

    #[test]
    fn one_route_belongs_to_one_function() {
        let two = "Events: {
            A: { Type: HttpApi, Properties: { Method: GET, Path: '/t/{id}' } },
            B: { Type: HttpApi, Properties: { Method: GET, Path: '/t/{key}' } } }";
        assert_eq!(refusal(two), "ThingGetFunction.Events: ThingGetFunction has the route `GET /t/{key}` too");
    }
}
