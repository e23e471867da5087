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

/// Parses a template with one function that has these `properties`.
fn parse(properties: &str) -> Result<Template> {
    let text = format!(
        "Parameters:
  Origins: {{ Type: String, Default: 'a,b' }}
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
    Template::parse(&text)
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
               ORIGINS: {{ Ref: Origins }}, TEXT: !Sub '${{Table.Arn}}/index/${{Table}}/${{AWS::Region}}' }} }}"
    ))
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
    let parse = |api: &str| {
        let text = format!(
            "Parameters: {{ Origins: {{ Type: String, Default: 'https://a,https://b' }} }}\nResources:
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {{ {api} }} }}\n{TABLE}"
        );
        Template::parse(&text)
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
    let error = Template::parse(&globals).unwrap_err().to_string();
    assert_eq!(error, "Globals.HttpApi: not supported");
}

#[test]
fn a_function_may_have_several_routes() {
    let route = |path: &str| format!("{{ Type: HttpApi, Properties: {{ Method: get, Path: '{path}' }} }}");
    let template = parse(&format!("Events: {{ A: {}, B: {} }}", route("/"), route("/f/{id}/x"))).unwrap();
    let route = |event: &str, path: &str| Route { event: event.into(), method: "GET".into(), path: path.into() };
    assert_eq!(template.functions[0].routes, [route("A", "/"), route("B", "/f/{id}/x")]);
}

#[test]
fn a_function_says_who_may_call_it() {
    let kind = |metadata: &str| {
        let text = format!(
            "Resources:\n{TABLE}  ThingGetFunction: {{ Type: AWS::Serverless::Function, {metadata}
Properties: {{ CodeUri: functions/thing-get/, {EVENTS} }} }}\n"
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
    let template = parse(&format!("{EVENTS}, {policies}")).unwrap();
    assert_eq!(
        template.functions[0].statements,
        [Statement {
            actions: vec!["dynamodb:*".into()],
            resources: vec![format!("{}/*", table_arn("rolecall")), "x".into()],
            attributes: None,
        }]
    );
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let statement = |rest: &str| format!("{EVENTS}, Policies: [{{ Statement: [{{ {rest} }}] }}]");
    for (properties, expected) in [
        ("Timeout: 3".into(), "ThingGetFunction.Events: no event, so nothing can call it"),
        (
            "Events: { Queue: { Type: SQS } }".into(),
            "ThingGetFunction.Events.Queue: events of type \"SQS\" are not supported",
        ),
        (
            "Events: { A: { Type: HttpApi, Properties: { Method: GET, Path: /a, Auth: {} } } }".into(),
            "ThingGetFunction.Events.A.Auth: not supported",
        ),
        (
            "Events: { A: { Type: HttpApi, Properties: { Method: GET, Path: '/v{version}' } } }".into(),
            "ThingGetFunction.Events.A.Path: `/v{version}` is not a path of text and whole variables",
        ),
        (
            format!("{EVENTS}, Policies: AmazonDynamoDBFullAccess"),
            "ThingGetFunction.Policies[0]: the managed policy `AmazonDynamoDBFullAccess` is not supported, write its statements",
        ),
        (
            format!("{EVENTS}, Policies: [{{ DynamoDBCrudPolicy: {{ TableName: !Ref Table }} }}]"),
            "ThingGetFunction.Policies[0].DynamoDBCrudPolicy: not supported",
        ),
        (
            statement("Effect: Allow, Action: a, Resource: b, Condition: {}"),
            "ThingGetFunction.Policies[0].Statement[0].Condition: only a list of dynamodb:Attributes is supported",
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
        ("Events: { A: { Type: HttpApi } }".into(), "ThingGetFunction.Events.A.Method: not text"),
        (
            "Events: { A: { Type: HttpApi, Properties: { Method: GET, Path: '/f/{path+}' } } }".into(),
            "ThingGetFunction.Events.A.Path: `/f/{path+}` is not a path of text and whole variables",
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

#[test]
fn a_table_has_no_property_that_would_be_lost() {
    let text = format!("Resources:\n{TABLE}      LocalSecondaryIndexes: []\n");
    assert_eq!(Template::parse(&text).unwrap_err().to_string(), "Table.LocalSecondaryIndexes: not supported");
}
