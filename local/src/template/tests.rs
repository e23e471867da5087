use std::time::Duration;

use serde_json::json;

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

/// A route of the function `thing-get`.
const ROUTE: &str = "'/t/{id}': { parameters: [{ name: id, in: path, required: true }], get: { operationId: thingGet,
    x-amazon-apigateway-integration: { $ref: '#/components/x-amazon-apigateway-integrations/thing-get' } } }";

/// An API with these paths and this more in its body, whose routes all go to the function `thing-get`.
fn api(paths: &str, more: &str) -> String {
    format!(
        "Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: main
      AccessLogSettings: !Cidr nonsense
      DefinitionBody:
        openapi: 3.0.1
        paths: {{ {paths} }}
        components:
          x-amazon-apigateway-integrations:
            thing-get:
              type: aws_proxy
              httpMethod: POST
              payloadFormatVersion: '2.0'
              credentials: !GetAtt ApiRole.Arn
              uri: !Sub 'arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{ThingGetFunctionAliaslive}}/invocations'
        {more}
  ApiRole:
    Type: AWS::IAM::Role
    Properties:
      Policies: [{{ PolicyDocument: {{ Statement: [{{ Effect: Allow, Action: lambda:InvokeFunction, Resource: [!Ref ThingGetFunction.Alias] }}] }} }}]
"
    )
}

/// A template with one function that has these `properties`, and one route.
fn text(properties: &str) -> String {
    format!(
        "Parameters:
  Origins: {{ Type: String, Default: 'a,b' }}
Globals:
  Function:
    Timeout: 10
    Environment: {{ Variables: {{ TABLE: !Ref Table, LEVEL: info }} }}
{}  Alarm: {{ Type: AWS::CloudWatch::Alarm, Properties: !Cidr nonsense }}
{TABLE}  ThingGetFunction:
    Type: AWS::Serverless::Function
    Properties: {{ CodeUri: functions/thing-get/, {properties} }}
",
        api(ROUTE, "")
    )
}

fn parse(properties: &str) -> Result<Template> {
    Template::parse(&text(properties))
}

fn refusal(properties: &str) -> String {
    parse(properties).unwrap_err().to_string()
}

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
    let template = parse("").unwrap();
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
    let template = parse(
        "MemorySize: 512, Environment: { Variables: { LEVEL: debug, SIZE: 7,
               ORIGINS: { Ref: Origins }, TEXT: !Sub '${Table.Arn}/index/${Table}/${AWS::Region}' } }",
    )
    .unwrap();
    let function = &template.functions[0];
    assert_eq!((function.timeout, function.memory), (Duration::from_secs(10), 512));
    let expected = [
        ("LEVEL", "debug"),
        ("ORIGINS", "a,b"),
        ("SIZE", "7"),
        ("TABLE", "rolecall"),
        ("TEXT", "arn:aws:dynamodb:us-east-1:000000000000:table/rolecall/index/rolecall/us-east-1"),
    ];
    let actual: Vec<_> = function.environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(actual, expected);
}

#[test]
fn a_condition_chooses_by_the_parameters() {
    let text = |condition: &str| {
        let text = format!(
            "Parameters: {{ Name: {{ Type: String, Default: '' }} }}
Conditions: {{ IsNamed: !Not [!Equals [!Ref Name, '']], HasSecret: !Equals [!Ref Name, ''] }}
Resources:
  Secret: {{ Type: AWS::SecretsManager::Secret, Condition: HasSecret }}
{TABLE}      TableName: !If [{condition}, !Ref Secret, !Sub '${{AWS::Partition}}:${{AWS::AccountId}}']
"
        );
        Template::parse(&text).map(|template| template.table_name().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(text("HasSecret"), Ok("arn:aws:secretsmanager:us-east-1:000000000000:secret:Secret".to_owned()));
    assert_eq!(text("IsNamed"), Ok("aws:000000000000".to_owned()));
    assert_eq!(text("Other"), Err("Table.TableName: no condition is named `Other`".to_owned()));
}

#[test]
fn parameters_have_their_defaults() {
    let name = |parameter: &str| {
        let text = format!("Parameters: {{ Name: {parameter} }}\nResources:\n{TABLE}      TableName: !Ref Name\n");
        Template::parse(&text).map(|template| template.table_name().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(name("{ Type: String, Default: other }"), Ok("other".into()));
    assert_eq!(name("{ Type: Number, Default: 7 }"), Ok("7".into()));
    assert_eq!(name("{ Type: String }"), Err("the parameter `Name` has no default".into()));
    let list = name("{ Type: CommaDelimitedList, Default: 'a, b' }");
    assert_eq!(list, Err("the parameter `Name` is neither a String nor a Number".into()));
}

#[test]
fn the_api_says_which_pages_may_call() {
    let parse = |cors: &str| {
        let parameters = "Parameters: { Origins: { Type: String, Default: 'https://a,https://b' } }\n";
        let function = "  ThingGetFunction: { Type: AWS::Serverless::Function, Properties: { CodeUri: thing-get } }\n";
        let body = api(ROUTE, &format!("x-amazon-apigateway-cors: {cors}"));
        Template::parse(&format!("{parameters}{body}{TABLE}{function}"))
    };
    let cors = "{ allowOrigins: !Split [',', !Ref Origins], allowHeaders: [etag], allowCredentials: true, maxAge: 60 }";
    let template = parse(cors).unwrap();
    let expected = Cors {
        origins: vec!["https://a".into(), "https://b".into()],
        methods: vec![],
        headers: vec!["etag".into()],
        exposed: vec![],
        credentials: true,
        max_age: 60,
    };
    assert_eq!(template.cors, Some(expected));
    let at = "Api.DefinitionBody.x-amazon-apigateway-cors";
    for (cors, expected) in [
        ("true", ": not a map"),
        ("{ allowAll: true }", ".allowAll: not supported"),
        ("{ maxAge: long }", ".maxAge: not a whole number"),
        ("{ allowOrigins: ['https://*'] }", ".allowOrigins: wildcards are not supported: `https://*`"),
    ] {
        assert_eq!(parse(cors).unwrap_err().to_string(), format!("{at}{expected}"));
    }
    assert_eq!(Template::parse(&format!("Resources:\n{TABLE}")).unwrap().stage, "$default");
    for (before, expected) in [
        ("Globals: { HttpApi: { Auth: {} } }\nResources:", "Globals.HttpApi: not supported"),
        ("Resources:\n  Api: { Type: AWS::Serverless::HttpApi, Properties: { Auth: {} } }", "Api.Auth: not supported"),
    ] {
        assert_eq!(Template::parse(&format!("{before}\n{TABLE}")).unwrap_err().to_string(), expected);
    }
}

/// The template with another text somewhere in its API.
fn with(from: &str, to: &str) -> Result<Template> {
    let text = text("");
    assert!(text.contains(from), "{from}");
    Template::parse(&text.replace(from, to))
}

#[test]
fn a_function_may_have_several_routes() {
    let more = "paths: { /: { get: { operationId: things, x-amazon-apigateway-integration:
        { $ref: '#/components/x-amazon-apigateway-integrations/thing-get' } } }, ";
    let template = with("paths: { ", more).unwrap();
    let route =
        |operation: &str, path: &str| Route { operation: operation.into(), method: "GET".into(), path: path.into() };
    assert_eq!(template.functions[0].routes, [route("things", "/"), route("thingGet", "/t/{id}")]);
}

#[test]
fn a_route_that_is_not_understood_is_refused_by_name() {
    let at = "Api.DefinitionBody";
    for (from, to, expected) in [
        ("'/t/{id}'", "'/v{version}'", format!("{at}.paths./v{{version}}: not a path of text and whole variables")),
        ("'/t/{id}'", "'/t/{id+}'", format!("{at}.paths./t/{{id+}}: not a path of text and whole variables")),
        ("'/t/{id}'", "'/t/{key}'", format!("{at}.paths./t/{{key}}.parameters: not the variables of the path")),
        ("get: {", "head: {", format!("{at}.paths./t/{{id}}.head: none of delete, get, patch, post, put")),
        ("operationId: thingGet", "a: 1", format!("{at}.paths./t/{{id}}.get.a: not supported")),
        ("operationId: thingGet,", "", format!("{at}.paths./t/{{id}}.get.operationId: not text")),
        (
            "integrations/thing-get'",
            "integrations/thing'",
            format!(
                "{at}.paths./t/{{id}}.get: no integration is named `#/components/x-amazon-apigateway-integrations/thing`"
            ),
        ),
        ("'2.0'", "'1.0'", "the integration `thing-get`: payloadFormatVersion is not 2.0".into()),
        (
            "FunctionAliaslive",
            "Function.Arn",
            "the integration `thing-get`: its uri is not that of the alias `live` of `thing-get`".into(),
        ),
        ("[!Ref ThingGetFunction.Alias]", "['*']", "the integration `thing-get`: its role may not call it".into()),
        ("ApiRole.Arn", "Table.Arn", "the integration `thing-get`: its role may not call it".into()),
        (
            "            thing-get:",
            "            thing-put: {}\n            thing-get:",
            format!("{at}.components: no route has the integration `thing-put`"),
        ),
    ] {
        assert_eq!(with(from, to).unwrap_err().to_string(), expected, "{to}");
    }
}

#[test]
fn one_route_belongs_to_one_function() {
    let second = |path: &str, operation: &str| {
        let parameters = "parameters: [{ name: key, in: path, required: true }]";
        let integration =
            "x-amazon-apigateway-integration: { $ref: '#/components/x-amazon-apigateway-integrations/thing-get' }";
        let to =
            format!("paths: {{ '{path}': {{ {parameters}, get: {{ operationId: {operation}, {integration} }} }}, ");
        with("paths: { ", &to).unwrap_err().to_string()
    };
    assert_eq!(second("/t/{key}", "other"), "ThingGetFunction: ThingGetFunction has the route `GET /t/{id}` too");
    assert_eq!(second("/u/{key}", "thingGet"), "GET /t/{id}: another route is named `thingGet`, too");
}

#[test]
fn a_function_says_who_may_call_it() {
    let kind = |metadata: &str| {
        let text = format!(
            "{}{TABLE}  ThingGetFunction: {{ Type: AWS::Serverless::Function, {metadata}
Properties: {{ CodeUri: functions/thing-get/ }} }}\n",
            api(ROUTE, "")
        );
        Template::parse(&text).map(|template| template.functions[0].kind)
    };
    assert_eq!(kind("Metadata: { BuildMethod: rust-cargolambda, Kind: public },"), Ok(Some(Kind::Public)));
    assert_eq!(kind("Metadata: { Kind: credential },"), Ok(Some(Kind::Credential)));
    assert_eq!(kind(""), Ok(None));
    let error = kind("Metadata: { Kind: Public },").unwrap_err().to_string();
    assert_eq!(error, "ThingGetFunction.Metadata.Kind: none of credential, public, product, but \"Public\"");
}

#[test]
fn statements_are_lists_or_single() {
    let policies =
        "Policies: { Statement: { Effect: Allow, Action: 'dynamodb:*', Resource: [!Sub '${Table.Arn}/*', x] } }";
    let template = parse(policies).unwrap();
    assert_eq!(
        template.functions[0].statements,
        [Statement {
            actions: vec!["dynamodb:*".into()],
            resources: vec![format!("{}/*", table_arn("rolecall")), "x".into()],
            attributes: None,
            partitions: None,
        }]
    );
}

#[test]
fn a_condition_limits_attributes_or_partitions() {
    let limited = |condition: &str| {
        let statement = "Effect: Allow, Action: dynamodb:PutItem, Resource: x, Condition";
        let policies = format!("Policies: {{ Statement: {{ {statement}: {{ {condition} }} }} }}");
        let statement = parse(&policies).unwrap().functions[0].statements[0].clone();
        (statement.attributes, statement.partitions)
    };
    let attributes = "'ForAllValues:StringEquals': { 'dynamodb:Attributes': [PK, used_at] }";
    assert_eq!(limited(attributes), (Some(vec!["PK".into(), "used_at".into()]), None));
    let partitions = "'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['a#*'] }";
    assert_eq!(limited(partitions), (None, Some(vec!["a#*".into()])));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let statement = |rest: &str| format!("Policies: [{{ Statement: [{{ {rest} }}] }}]");
    for (properties, expected) in [
        (
            "Events: { Queue: { Type: SNS } }".into(),
            "ThingGetFunction.Events.Queue: events of type \"SNS\" are not supported",
        ),
        (
            "Events: { Http: { Type: HttpApi, Properties: { Method: GET, Path: /a } } }".into(),
            "ThingGetFunction.Events.Http: write the route in the DefinitionBody of the API",
        ),
        (
            "Policies: AmazonDynamoDBFullAccess".into(),
            "ThingGetFunction.Policies[0]: the managed policy `AmazonDynamoDBFullAccess` is not supported, write its statements",
        ),
        (
            "Policies: [{ DynamoDBCrudPolicy: { TableName: !Ref Table } }]".into(),
            "ThingGetFunction.Policies[0].DynamoDBCrudPolicy: not supported",
        ),
        (
            statement("Effect: Allow, Action: a, Resource: b, Condition: {}"),
            "ThingGetFunction.Policies[0].Statement[0].Condition: only a list of dynamodb:Attributes or dynamodb:LeadingKeys is supported",
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
            statement("Effect: Deny, Action: a, Resource: b"),
            "ThingGetFunction.Policies[0].Statement[0].Effect: only Allow is supported",
        ),
        (
            statement("Effect: Allow, Action: a, Resource: !ImportValue x"),
            "ThingGetFunction.Policies[0].Statement[0].Resource: Fn::ImportValue is not supported, or not of this form",
        ),
        ("Role: arn".into(), "ThingGetFunction.Role: not supported"),
        ("Layers: [arn]".into(), "ThingGetFunction.Layers: not supported"),
        ("Timeout: soon".into(), "ThingGetFunction.Timeout: not a whole number"),
        (
            "Environment: { Variables: { X: !GetAtt Table.StreamArn } }".into(),
            "ThingGetFunction.Environment.X: the attribute `Table.StreamArn` is not supported",
        ),
        (
            "Environment: { Variables: { X: !Ref Tabel } }".into(),
            "ThingGetFunction.Environment.X: nothing is named `Tabel`",
        ),
    ] {
        assert_eq!(refusal(&properties), expected);
    }
    let unreachable = text("").replace(
        "ThingGetFunction:",
        "Other: { Type: AWS::Serverless::Function, Properties: { CodeUri: other } }\n  ThingGetFunction:",
    );
    let error = Template::parse(&unreachable).unwrap_err().to_string();
    assert_eq!(error, "Other: no route and no event, so nothing can call it");
}

#[test]
fn a_table_has_no_property_that_would_be_lost() {
    let text = format!("Resources:\n{TABLE}      LocalSecondaryIndexes: []\n");
    assert_eq!(Template::parse(&text).unwrap_err().to_string(), "Table.LocalSecondaryIndexes: not supported");
}
