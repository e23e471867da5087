"""Checks template.yaml and the bundle that sam builds from it, beside sam's and cfn-lint's own checks.

    template.py transform OUT       writes the stack that CloudFormation makes of template.yaml
    template.py grants ACTIONS      compares each function's IAM actions with those that the tests saw it use
    template.py bundle DIR          looks into each binary that sam has built, for $ARCHITECTURE

ACTIONS is {"users-update": ["dynamodb:BatchGetItem", ...], ...}, as the tests of the product write it.
"""

import json
import logging
import os
import re
import sys
import tomllib
from pathlib import Path

from elftools.elf.elffile import ELFFile
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# Its warnings are about metrics and features that only AWS has.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

TEMPLATE = Path(__file__).parent.parent / "template.yaml"
# The most resources in one stack of CloudFormation, and the most that we use of them.
RESOURCES = 500
OURS = 470
# The most characters of a role's policies, and of the alias of a function in one: its name has 64 at most, and commas and quotes 3.
ROLE = 10240 - 200
LONGEST_ARN = len("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function::live") + 64 + 3
# SAM would drop all but the origins if they stood in the properties of the API and the origins were computed.
CORS = {"allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}
# Rights of every function beside its statements: it may write its log and its traces, and send to the queue.
MANAGED = {"service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
# What the poller of a stream or a queue does with the rights of its function.
POLLERS = {"DynamoDB": "service-role/AWSLambdaDynamoDBExecutionRole", "SQS": "service-role/AWSLambdaSQSQueueExecutionRole"}
DEAD_LETTERS = {"Action": ["sqs:SendMessage"], "Effect": "Allow", "Resource": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
TABLE = {"Fn::GetAtt": ["Table", "Arn"]}
# A function that reads may note that an API key is used, and change nothing else.
NOTE = {
    "Effect": "Allow",
    "Action": ["dynamodb:UpdateItem"],
    "Resource": TABLE,
    "Condition": {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["PK", "SK", "used_at"]}},
}
READING = {
    "Effect": "Allow",
    "Action": ["dynamodb:PutItem"],
    "Resource": TABLE,
    "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["TENANT#*#READING#*"]}},
}
INDEX = {"Fn::Sub": "${Table.Arn}/index/GSI1"}
SECRET = {"Ref": "SigningSecret"}
# The resources of other services, each with what its actions begin with.
BESIDE = [
    (SECRET, "secretsmanager:"),
    ({"Fn::GetAtt": ["WebhookQueue", "Arn"]}, "sqs:"),
    ({"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBus}"}, "events:"),
]
# The newest version that Amazon Linux 2023 has.
GLIBC = (2, 34)
MACHINES = {"arm64": "EM_AARCH64", "x86_64": "EM_X86_64"}


class NoPolicies:
    """The names of managed policies that a template may use without their ARN: none."""

    def load(self):
        return {}


def names(template):
    """The functions by their resource: `UsersUpdateFunction` is `users-update`."""
    resources = template["Resources"].items()
    functions = {name: it for name, it in resources if it["Type"] == "AWS::Serverless::Function"}
    return {name: Path(it["Properties"]["CodeUri"]).name for name, it in functions.items()}


def transformed(change=lambda template: None):
    """The stack that CloudFormation makes of the template, with the defaults of its parameters."""
    template = yaml_parse(TEMPLATE.read_text())
    change(template)
    for resource in names(template):
        # The place of the code after an upload.
        template["Resources"][resource]["Properties"]["CodeUri"] = f"s3://bucket/{resource}"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    return transform(template, {}, NoPolicies())


def statements(role):
    found = [it for policy in role.get("Policies", []) for it in policy["PolicyDocument"]["Statement"]]
    return [{**it, "Action": as_list(by_default(it["Action"])), "Resource": by_default(it["Resource"])} for it in found]


def by_default(value):
    """The value if the keys that sign are in Secrets Manager, as they are by default."""
    match value:
        case {"Fn::If": ["HasSecret", chosen, _]}:
            return chosen
    return value


def faults_of(role, used, managed_wanted):
    """Actions that a function's role grants and should not, and actions that it should grant and does not."""
    managed = {arn["Fn::Sub"] if isinstance(arn, dict) else arn for arn in role["ManagedPolicyArns"]}
    managed = {arn.split(":policy/")[-1] for arn in managed}
    if managed != managed_wanted:
        yield f"its managed policies are {sorted(managed)}"
    granting = statements(role)
    if DEAD_LETTERS not in granting:
        yield "it cannot send to DeadLetters"
    own = [it for it in granting if it != DEAD_LETTERS]
    granted = set()
    for statement in own:
        if statement in (NOTE, READING):
            granted |= set(statement["Action"])
            continue
        if set(statement) - {"Sid"} != {"Effect", "Action", "Resource"} or statement["Effect"] != "Allow":
            yield f"not a plain permission: {json.dumps(statement)}"
            continue
        actions, resources = set(statement["Action"]), as_list(statement["Resource"])
        granted |= actions
        on_index = INDEX in resources
        if any(resources == [beside] and all(it.startswith(start) for it in actions) for beside, start in BESIDE):
            continue
        if any(it not in (TABLE, INDEX) for it in resources) or (on_index and actions != {"dynamodb:Query"}):
            yield f"{sorted(actions)} on {json.dumps(resources)}"
    for action in sorted(granted - used):
        yield f"granted, but the tests did not see it used: {action}"
    for action in sorted(used - granted):
        yield f"used, but not granted: {action}"


def as_list(value):
    return value if isinstance(value, list) else [value]


def grants(file):
    used = json.loads(Path(file).read_text())
    template = yaml_parse(TEMPLATE.read_text())
    functions = names(template)
    if sorted(used) != sorted(functions.values()):
        fail([f"{file} is of {sorted(used)}, the template of {sorted(functions.values())}"])
    resources = transformed()["Resources"]
    faults = []
    for resource, function in functions.items():
        role = resources[resource]["Properties"]["Role"]["Fn::GetAtt"][0]
        events = template["Resources"][resource]["Properties"].get("Events", {}).values()
        polled = {POLLERS[event["Type"]] for event in events if event["Type"] in POLLERS}
        found = faults_of(resources[role]["Properties"], set(used[function]), MANAGED | polled)
        faults += [f"{function}: {fault}" for fault in found]
    fail(faults)
    print(f"{len(functions)} functions are granted what they use")


def faults_of_api(resources):
    """What a gateway would lack of the routes in the template, and what it may call beside them."""
    body = resources["Api"]["Properties"]["Body"]
    if set(body["x-amazon-apigateway-cors"]) != CORS:
        yield f"CORS has {sorted(body['x-amazon-apigateway-cors'])}"
    integrations = body["components"]["x-amazon-apigateway-integrations"].values()
    called = {alias for it in integrations for alias in re.findall(r"/functions/\$\{(\w+)\}/invocations", it["uri"]["Fn::Sub"])}
    policies = resources["ApiRole"]["Properties"]["Policies"]
    granted = [as_list(it["Resource"]) for policy in policies for it in policy["PolicyDocument"]["Statement"]]
    granted = [resource["Ref"] for listed in granted for resource in listed]
    aliases = {name for name, it in resources.items() if it["Type"] == "AWS::Lambda::Alias"}
    yield from (f"{name}: the API calls it, and it is no alias" for name in sorted(called - aliases))
    yield from (f"{name}: the API calls it and may not" for name in sorted(called - set(granted)))
    yield from (f"{name}: the API may call it and does not" for name in sorted(set(granted) - called))
    if (most := len(granted) * LONGEST_ARN) > ROLE:
        yield f"ApiRole may have {ROLE} characters, and could have {most}: give a second role the half of the functions"
    for name, it in resources.items():
        if it["Type"] == "AWS::Lambda::Permission" and it["Properties"]["Principal"] == "apigateway.amazonaws.com":
            yield f"{name}: ApiRole makes it needless"


def stack(out):
    result = transformed()
    Path(out).write_text(json.dumps(result, indent=2))
    resources = result["Resources"]
    functions = names(yaml_parse(TEMPLATE.read_text()))
    last = list(functions)[-1]
    each = len(resources) - len(transformed(lambda template: template["Resources"].pop(last))["Resources"])
    fixed = len(resources) - each * len(functions)
    print(f"{len(resources)} resources: {fixed}, and {each} a function; {(OURS - fixed) // each} functions fit")
    fail([f"{len(resources)} resources are more than {OURS}"] if len(resources) > OURS else [])
    fail(faults_of_api(resources))

    def raise_revision(template):
        template["Globals"]["Function"]["Environment"]["Variables"]["REVISION"] = "another"

    later = transformed(raise_revision)["Resources"]
    same = [name for name, it in later.items() if it["Type"] == "AWS::Lambda::Version" and name in resources]
    fail([f"another REVISION publishes no new version: {name}" for name in same])


def bundle(folder):
    functions = names(yaml_parse(TEMPLATE.read_text()))
    architecture = os.environ["ARCHITECTURE"]
    profile = tomllib.loads(TEMPLATE.with_name("Cargo.toml").read_text())["profile"]["release"]
    missing = {"codegen-units", "lto", "panic", "strip"} - set(profile)
    faults = [f"Cargo.toml: cargo-lambda chooses {key} unless the release profile does" for key in sorted(missing)]
    built = {path.name for path in Path(folder).iterdir() if path.is_dir()}
    faults += [f"{name}: built, but not of the template" for name in sorted(built - set(functions))]
    for resource in functions:
        files = [path for path in Path(folder, resource).rglob("*") if path.is_file()]
        if [path.name for path in files] != ["bootstrap"]:
            faults.append(f"{resource}: not one file `bootstrap`, but {[str(path) for path in files]}")
            continue
        with files[0].open("rb") as file:
            faults += [f"{resource}: {fault}" for fault in faults_in(ELFFile(file), architecture)]
    fail(faults)
    size = sum(Path(folder, resource, "bootstrap").stat().st_size for resource in functions)
    print(f"{len(functions)} binaries of {size / len(functions) / 1e6:.1f} MB on average")


def faults_in(elf, architecture):
    if elf["e_machine"] != MACHINES[architecture]:
        yield f"it is for {elf['e_machine']}"
    for section in (".symtab", ".debug_info"):
        if elf.get_section_by_name(section):
            yield f"not stripped: it has {section}"
    needed = elf.get_section_by_name(".gnu.version_r")
    versions = {version.name for _, versions in needed.iter_versions() for version in versions}
    numbers = {name: tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in versions if name.startswith("GLIBC_")}
    if not numbers:
        yield "it needs no GLIBC: is that the binary?"
    for name in sorted(name for name, number in numbers.items() if number > GLIBC):
        yield f"it needs {name}"


def fail(faults):
    if faults := list(faults):
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["transform", out]:
            stack(out)
        case ["grants", file]:
            grants(file)
        case ["bundle", folder]:
            bundle(folder)
        case _:
            sys.exit(__doc__)
