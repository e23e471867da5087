//! The resources of a template that a laptop needs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Function, Kind, QueueSource, Route, Source, Statement, StreamSource, Template,
    resolve::{Resolver, intrinsic, parameters},
};
use crate::{Error, Result, sources};

/// The properties of an `AWS::Serverless::Function` that are used, and those that mean nothing on one machine.
const FUNCTION: [&str; 16] = [
    "CodeUri",
    "Description",
    "Environment",
    "Events",
    "MemorySize",
    "Policies",
    "Timeout",
    // These mean nothing:
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

/// The same for an `AWS::Serverless::HttpApi`.
const API: [&str; 5] = [
    "DefinitionBody",
    "StageName",
    // These mean nothing:
    "AccessLogSettings",
    "DefaultRouteSettings",
    "Description",
];

/// The same for an `AWS::DynamoDB::Table`. The first ones are also members of `CreateTable`.
const CREATE_TABLE: [&str; 5] =
    ["AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "StreamSpecification"];
const TABLE: [&str; 4] = [
    "TableName",
    "TimeToLiveSpecification",
    // These mean nothing:
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
];

/// Reads a template that has its tags in their long form.
pub(super) fn read(root: &Value) -> Result<Template> {
    let resources = root["Resources"].as_object().ok_or("no `Resources`".to_string())?;
    let reader =
        Reader(Resolver { parameters: parameters(&root["Parameters"])?, conditions: &root["Conditions"], resources });
    let (table, properties) = reader.only("AWS::DynamoDB::Table")?.ok_or("no AWS::DynamoDB::Table".to_string())?;
    only_known(properties, &[&CREATE_TABLE[..], &TABLE].concat(), table)?;
    let (api, api_properties) = reader.only("AWS::Serverless::HttpApi")?.unwrap_or(("", &Value::Null));
    only_known(api_properties, &API, api)?;
    only_known(&root["Globals"], &["Function"], "Globals")?;
    let body = (&api_properties["DefinitionBody"], format!("{api}.DefinitionBody"));
    let routes = reader.routes(body.0, &body.1)?;
    let functions = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    Ok(Template {
        stage: match &api_properties["StageName"] {
            Value::Null => "$default".into(),
            stage => reader.0.text(stage, &format!("{api}.StageName"))?,
        },
        cors: reader.cors(body.0, &body.1)?,
        table: reader.table(table, properties)?,
        time_to_live: match properties.get("TimeToLiveSpecification") {
            None => None,
            Some(value) => Some(reader.0.resolve(value, &format!("{table}.TimeToLiveSpecification"))?),
        },
        functions: functions
            .map(|(name, resource)| reader.function(name, resource, &root["Globals"]["Function"], &routes))
            .collect::<Result<_>>()?,
    })
}

pub(super) struct Reader<'a>(pub(super) Resolver<'a>);

/// In every method, `at` is the place of the value, for messages: `UsersUpdateFunction.Policies[0].Action`.
impl<'a> Reader<'a> {
    /// Returns the name and properties of the one resource of this type, if there is one.
    fn only(&self, kind: &str) -> Result<Option<(&'a str, &'a Value)>> {
        let mut found = self.0.resources.iter().filter(|(_, resource)| resource["Type"] == kind);
        match (found.next(), found.next()) {
            (Some((first, _)), Some((second, _))) => Err(format!("{first}, {second}: more than one {kind}").into()),
            (Some((name, resource)), None) => {
                unconditional(name, resource)?;
                Ok(Some((name, &resource["Properties"])))
            }
            (None, _) => Ok(None),
        }
    }

    fn table(&self, name: &str, properties: &Value) -> Result<Value> {
        let mut input = json!({ "TableName": self.0.table_name(properties)? });
        for property in CREATE_TABLE {
            if let Some(value) = properties.get(property) {
                input[property] = self.0.resolve(value, &format!("{name}.{property}"))?;
            }
        }
        // CloudFormation leaves out a member that CreateTable requires.
        if let Some(Value::Object(stream)) = input.get_mut("StreamSpecification") {
            stream.insert("StreamEnabled".into(), true.into());
        }
        Ok(input)
    }

    fn function(
        &self,
        resource: &str,
        definition: &Value,
        globals: &Value,
        routes: &[(String, Route)],
    ) -> Result<Function> {
        unconditional(resource, definition)?;
        let mut properties = globals.clone();
        merge(&mut properties, &definition["Properties"]);
        only_known(&properties, &FUNCTION, resource)?;
        let at = |property: &str| format!("{resource}.{property}");
        let number = |property: &str, default: u64| match &properties[property] {
            Value::Null => Ok(default),
            value => self
                .0
                .resolve(value, &at(property))?
                .as_u64()
                .ok_or_else(|| Error::from(format!("{}: not a whole number", at(property)))),
        };
        let description = match &properties["Description"] {
            Value::Null => String::new(),
            value => self.0.text(value, &at("Description"))?,
        };
        let statements = list(&properties["Policies"])
            .enumerate()
            .map(|(i, policy)| self.statements(policy, &at(&format!("Policies[{i}]"))))
            .collect::<Result<Vec<_>>>()?
            .concat();
        let environment = entries(&properties["Environment"]["Variables"])
            .map(|(name, value)| Ok((name.clone(), self.0.text(value, &at(&format!("Environment.{name}")))?)))
            .collect::<Result<_>>()?;
        let own = routes.iter().filter(|(function, _)| function == resource);
        let routes: Vec<_> = own.map(|(_, route)| route.clone()).collect();
        let mut sources = Vec::new();
        for (name, event) in entries(&properties["Events"]) {
            let at = at(&format!("Events.{name}"));
            match event["Type"].as_str() {
                // SAM would make a permission for each, and CloudFormation takes 500 resources.
                Some("HttpApi") => return Err(format!("{at}: write the route in the DefinitionBody of the API").into()),
                Some("DynamoDB") => sources.push(self.stream(&event["Properties"], &at)?),
                Some("SQS") => sources.push(self.queue(&event["Properties"], &at)?),
                Some("Schedule") => sources.push(self.schedule(&event["Properties"], &at)?),
                _ => return Err(format!("{at}: events of type {} are not supported", event["Type"]).into()),
            }
        }
        // Only the operator invokes a function of the product that has no event.
        if routes.is_empty() && sources.is_empty() && definition["Metadata"]["Kind"] != "product" {
            return Err(format!("{resource}: no route and no event, so nothing can call it").into());
        }
        let kind = match &definition["Metadata"]["Kind"] {
            Value::Null => None,
            kind if kind == "public" => Some(Kind::Public),
            kind if kind == "credential" => Some(Kind::Credential),
            kind if kind == "product" => Some(Kind::Product),
            kind => {
                return Err(format!("{}: none of credential, public, product, but {kind}", at("Metadata.Kind")).into());
            }
        };
        Ok(Function {
            kind,
            name: self.function_name(&properties, &at("CodeUri"))?,
            resource: resource.into(),
            description,
            routes,
            sources,
            // The defaults are those of Lambda.
            timeout: Duration::from_secs(number("Timeout", 3)?),
            memory: number("MemorySize", 128)?,
            environment,
            statements,
        })
    }

    fn function_name(&self, properties: &Value, at: &str) -> Result<String> {
        let uri = self.0.text(&properties["CodeUri"], at)?;
        let name = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() || name == "." {
            return Err(format!("{at}: `{uri}` names no folder of a function").into());
        }
        Ok(name.into())
    }

    fn stream(&self, properties: &Value, at: &str) -> Result<Source> {
        const USED: [&str; 5] =
            ["Stream", "FilterCriteria", "BatchSize", "MaximumRetryAttempts", "ParallelizationFactor"];
        // Here a stream has one shard, no record is old, and the log is the queue of failures. A failing batch is always bisected.
        const UNUSED: [&str; 4] =
            ["StartingPosition", "BisectBatchOnFunctionError", "MaximumRecordAgeInSeconds", "DestinationConfig"];
        only_known(properties, &[&USED[..], &UNUSED].concat(), at)?;
        let number = |property: &str| {
            let value = self.0.resolve(&properties[property], &format!("{at}.{property}"))?;
            value.as_u64().ok_or_else(|| Error::from(format!("{at}.{property}: not a whole number")))
        };
        let filters = self.0.resolve(&properties["FilterCriteria"]["Filters"], &format!("{at}.FilterCriteria"))?;
        let pattern = |filter: &Value| {
            let text =
                filter["Pattern"].as_str().ok_or_else(|| format!("{at}.FilterCriteria: a filter without a Pattern"))?;
            let pattern =
                serde_json::from_str(text).map_err(|error| format!("{at}.FilterCriteria: {error}: {text}"))?;
            sources::check(&pattern).map_err(|why| format!("{at}.FilterCriteria: {why}"))?;
            Ok::<_, Error>(pattern)
        };
        Ok(Source::Stream(StreamSource {
            patterns: list(&filters).map(pattern).collect::<Result<_>>()?,
            batch_size: usize::try_from(number("BatchSize")?.max(1)).unwrap_or(usize::MAX),
            is_parallel: properties["ParallelizationFactor"].as_u64().is_some_and(|factor| factor > 1),
            retries: number("MaximumRetryAttempts")?,
        }))
    }

    fn queue(&self, properties: &Value, at: &str) -> Result<Source> {
        // There is one caller on a laptop: nobody competes with it.
        only_known(properties, &["Queue", "BatchSize", "FunctionResponseTypes", "ScalingConfig"], at)?;
        if properties["FunctionResponseTypes"] != json!(["ReportBatchItemFailures"]) {
            return Err(format!("{at}.FunctionResponseTypes: not ReportBatchItemFailures").into());
        }
        let most = self.0.resolve(&properties["BatchSize"], &format!("{at}.BatchSize"))?;
        let most = most.as_u64().ok_or_else(|| Error::from(format!("{at}.BatchSize: not a whole number")))?;
        Ok(Source::Queue(QueueSource {
            queue: self.0.text(&properties["Queue"], &format!("{at}.Queue"))?,
            batch_size: usize::try_from(most.max(1)).unwrap_or(usize::MAX),
        }))
    }

    fn schedule(&self, properties: &Value, at: &str) -> Result<Source> {
        only_known(properties, &["Schedule", "Description"], at)?;
        let text = self.0.text(&properties["Schedule"], &format!("{at}.Schedule"))?;
        let parts =
            text.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).and_then(|it| it.split_once(' '));
        let every = parts.and_then(|(number, unit)| {
            let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
                "minute" => 60,
                "hour" => 60 * 60,
                "day" => 24 * 60 * 60,
                _ => return None,
            };
            number.parse::<u64>().ok().filter(|number| *number > 0).map(|number| Duration::from_secs(number * seconds))
        });
        every.map(Source::Schedule).ok_or_else(|| format!("{at}.Schedule: `{text}` is not like rate(5 minutes)").into())
    }

    fn statements(&self, policy: &Value, at: &str) -> Result<Vec<Statement>> {
        if let Value::String(name) = policy {
            return Err(format!("{at}: the managed policy `{name}` is not supported, write its statements").into());
        }
        let policy = self.0.resolve(policy, at)?;
        only_known(&policy, &["Version", "Statement"], at)?;
        let statement = |(i, statement): (usize, &Value)| {
            let at = format!("{at}.Statement[{i}]");
            only_known(statement, &["Sid", "Effect", "Action", "Resource", "Condition"], &at)?;
            if statement["Effect"] != "Allow" {
                return Err(Error::from(format!("{at}.Effect: only Allow is supported")));
            }
            let texts = |property: &str| {
                let values: Option<Vec<_>> =
                    list(&statement[property]).map(|value| value.as_str().map(String::from)).collect();
                values
                    .filter(|values| !values.is_empty())
                    .ok_or_else(|| Error::from(format!("{at}.{property}: neither text nor a list of texts")))
            };
            let (attributes, partitions) = limits(&statement["Condition"], &at)?;
            Ok(Statement { actions: texts("Action")?, resources: texts("Resource")?, attributes, partitions })
        };
        let statements: Vec<_> = list(&policy["Statement"]).enumerate().map(statement).collect::<Result<_>>()?;
        if statements.is_empty() {
            return Err(format!("{at}: no Statement").into());
        }
        Ok(statements)
    }
}

/// The attributes of items, or the partitions, to which a condition limits an action.
type Limits = (Option<Vec<String>>, Option<Vec<String>>);

/// Reads the condition of a statement. Others are not supported.
fn limits(condition: &Value, at: &str) -> Result<Limits> {
    let named = |operator: &str, key: &str| -> Option<Vec<String>> {
        let texts = list(&condition[operator][key]).map(|text| text.as_str().map(String::from));
        let texts: Vec<String> = texts.collect::<Option<_>>()?;
        Some(texts).filter(|texts| *condition == json!({ operator: { key: texts } }))
    };
    let attributes = named("ForAllValues:StringEquals", "dynamodb:Attributes");
    let partitions = named("ForAllValues:StringLike", "dynamodb:LeadingKeys");
    match condition {
        Value::Null => Ok((None, None)),
        _ if attributes.is_some() || partitions.is_some() => Ok((attributes, partitions)),
        _ => {
            Err(format!("{at}.Condition: only a list of dynamodb:Attributes or dynamodb:LeadingKeys is supported")
                .into())
        }
    }
}

fn unconditional(name: &str, resource: &Value) -> Result<()> {
    match &resource["Condition"] {
        Value::Null => Ok(()),
        _ => Err(format!("{name}.Condition: not supported").into()),
    }
}

pub(super) fn only_known(object: &Value, known: &[&str], at: &str) -> Result<()> {
    if !object.is_object() && !object.is_null() {
        return Err(format!("{at}: not a map").into());
    }
    match entries(object).find(|(property, _)| !known.contains(&property.as_str())) {
        Some((property, _)) => Err(format!("{at}.{property}: not supported").into()),
        None => Ok(()),
    }
}

/// Merges as SAM merges `Globals`: it merges maps, joins lists, and replaces anything else.
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

/// Returns the elements of a list. Null has no elements, and any other value is its own only element.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(values) => values.as_slice(),
        Value::Null => &[],
        value => std::slice::from_ref(value),
    }
    .iter()
}

pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
