//! The grammar of contracts: every key of the Open Data Contract Standard v3.0 and v3.1. What Weir does not use (servers, prices,
//! teams, service levels) is accepted and left alone; keys that the standard does not have are errors.

use super::{
    Field, List, Object, Shape, When, choices, optional, required,
    text::Text::{ColumnName, DocumentName, Free, NonEmpty, OdcsVersion, Version},
};
use crate::types::Classification;

const TEXT: Shape = Shape::Text(Free);
const TAGS: Shape = Shape::List(&List { of: TEXT, min: 0, or_one: false });
const ANY: Shape = Shape::Any;
const CUSTOM: Shape = Shape::List(&List { of: Shape::Object(&CUSTOM_PROPERTY), min: 0, or_one: false });
const DEFINITIONS: Shape = Shape::List(&List { of: Shape::Object(&DEFINITION), min: 0, or_one: false });
const QUALITY: Shape = Shape::List(&List { of: Shape::Object(&QUALITY_CHECK), min: 0, or_one: false });
const RELATIONSHIPS: Shape = Shape::List(&List { of: Shape::Object(&RELATIONSHIP), min: 0, or_one: false });
const COUNT: Shape = Shape::Integer(0, i64::MAX as i128);
const POSITION: Shape = Shape::Integer(-1, i32::MAX as i128);
const ID: Field = optional("id", TEXT, "A stable identifier of this part, unique among its siblings.");

static PROPERTIES: List = List { of: Shape::Object(&PROPERTY), min: 1, or_one: false };

pub static CONTRACT: Shape = Shape::Object(
    &Object::new(
        "a contract",
        &[
            required("apiVersion", Shape::Text(OdcsVersion), "The version of the standard: v3.0.x or v3.1.x."),
            required("kind", Shape::Const("DataContract"), "What the document is."),
            required("id", Shape::Text(NonEmpty), "A unique identifier, such as a UUID."),
            required("name", Shape::Text(DocumentName), "The name under which sources refer to the contract."),
            required("version", Shape::Text(Version), "The contract's version; `payments@1` refers to its first number."),
            required("status", Shape::Text(NonEmpty), "proposed, draft, active, deprecated or retired."),
            optional("tenant", TEXT, "The organisation the data belongs to."),
            optional("tags", TAGS, "Free labels."),
            optional(
                "servers",
                Shape::List(&List { of: Shape::Object(&SERVER), min: 0, or_one: false }),
                "Where the data lives. Not used by Weir.",
            ),
            optional("dataProduct", TEXT, "The data product it belongs to."),
            optional("description", Shape::TextOr(&TEXT, &Shape::Object(&DESCRIPTION)), "What the data is and may be used for."),
            optional("domain", TEXT, "The data domain."),
            required(
                "schema",
                Shape::List(&List { of: Shape::Object(&SCHEMA_OBJECT), min: 1, or_one: false }),
                "The one object that the contract describes.",
            ),
            optional(
                "support",
                Shape::List(&List { of: Shape::Object(&SUPPORT), min: 0, or_one: false }),
                "Where to ask. Not used by Weir.",
            ),
            optional("price", Shape::Object(&PRICE), "What it costs. Not used by Weir."),
            optional(
                "team",
                Shape::ListOr(
                    &Shape::List(&List { of: Shape::Object(&TEAM_MEMBER), min: 0, or_one: false }),
                    &Shape::Object(&TEAM),
                ),
                "Who looks after it. Not used by Weir.",
            ),
            optional(
                "roles",
                Shape::List(&List { of: Shape::Object(&ROLE), min: 0, or_one: false }),
                "Roles that give access. Not used by Weir.",
            ),
            optional("slaDefaultElement", TEXT, "Deprecated by the standard."),
            optional(
                "slaProperties",
                Shape::List(&List { of: Shape::Object(&SLA), min: 0, or_one: false }),
                "Service levels. Not used by Weir.",
            ),
            optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
            optional("customProperties", CUSTOM, "Further properties."),
            optional("contractCreatedTs", TEXT, "When the contract was made."),
        ],
    )
    .lenient(),
);

static DESCRIPTION: Object = Object::new(
    "a description",
    &[
        optional("purpose", TEXT, "What the data is for."),
        optional("usage", TEXT, "How to use it."),
        optional("limitations", TEXT, "What it must not be used for."),
        optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

static SCHEMA_OBJECT: Object = Object::new(
    "a schema object",
    &[
        ID,
        required("name", TEXT, "The object's name."),
        optional("logicalType", Shape::Const("object"), "Always `object`."),
        optional("physicalType", TEXT, "table, view, topic, file."),
        optional("physicalName", TEXT, "Its name in the storage."),
        optional("description", TEXT, "What it is."),
        optional("businessName", TEXT, "What the business calls it."),
        optional("dataGranularityDescription", TEXT, "What one row stands for."),
        optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
        optional("tags", TAGS, "Free labels."),
        required("properties", Shape::List(&List { of: Shape::Object(&PROPERTY), min: 1, or_one: false }), "The columns."),
        optional("relationships", RELATIONSHIPS, "Foreign keys. Not used by Weir."),
        optional("quality", QUALITY, "Rules over several columns."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

/// The keys of a property beside its name.
macro_rules! property_fields {
    ($name:expr) => {
        &[
            ID,
            $name,
            optional("businessName", TEXT, "What the business calls it."),
            optional("description", TEXT, "What it means."),
            optional("logicalType", Shape::Choice(logical_types), "The type in the standard's terms."),
            optional("logicalTypeOptions", Shape::Object(&TYPE_OPTIONS), "Limits of the type; Weir enforces them as rules."),
            optional("physicalType", TEXT, "The exact type: `int32`, `float32`, `decimal(12,2)`, `bytes`, `timestamp`."),
            optional("physicalName", TEXT, "Its name in the storage."),
            optional("required", Shape::Boolean, "A row without a value here breaks the contract."),
            optional("unique", Shape::Boolean, "The values are promised to be distinct."),
            optional("primaryKey", Shape::Boolean, "Part of the key: required, and unique if it is the only one."),
            optional("primaryKeyPosition", POSITION, "Its place in the key."),
            optional("partitioned", Shape::Boolean, "Used for partitioning."),
            optional("partitionKeyPosition", POSITION, "Its place in the partitioning."),
            optional("classification", Shape::Choice(choices::<Classification>), "How sensitive the values are."),
            optional("encryptedName", TEXT, "The column that holds the encrypted value."),
            optional("transformSourceObjects", TAGS, "What it was made from."),
            optional("transformLogic", TEXT, "How it was made."),
            optional("transformDescription", TEXT, "How it was made, in plain words."),
            optional("examples", Shape::List(&List { of: ANY, min: 0, or_one: false }), "Sample values."),
            optional("criticalDataElement", Shape::Boolean, "A critical data element."),
            optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
            optional("tags", TAGS, "Free labels; `category:user.contact.email` names a data category."),
            optional("relationships", RELATIONSHIPS, "Foreign keys. Not used by Weir."),
            optional("quality", QUALITY, "Rules of this column."),
            optional("customProperties", CUSTOM, "Further properties; `categories` lists data categories."),
            optional("properties", Shape::List(&PROPERTIES), "The fields of an object."),
            optional("items", Shape::Object(&ITEM), "The elements of an array."),
        ]
    };
}

/// What a nested type needs; its inside is described by the field itself.
const NESTED: &[When] = &[
    When { key: "logicalType", equals: "object", then: "properties", shape: Shape::Any },
    When { key: "logicalType", equals: "array", then: "items", shape: Shape::Any },
];

static PROPERTY: Object =
    Object::new("a property", property_fields!(required("name", Shape::Text(ColumnName), "The column's name.")))
        .with_any_of(&["logicalType", "physicalType"])
        .with_when(NESTED)
        .lenient();

static ITEM: Object = Object::new("an item type", property_fields!(optional("name", TEXT, "The element's name.")))
    .with_any_of(&["logicalType", "physicalType"])
    .with_when(NESTED)
    .lenient();

fn logical_types() -> Vec<super::Choice> {
    ["string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean"].map(named).to_vec()
}

fn quality_types() -> Vec<super::Choice> {
    ["text", "library", "sql", "custom"].map(named).to_vec()
}

/// The library metrics of the standard.
pub const METRICS: [&str; 5] = ["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"];

fn metrics() -> Vec<super::Choice> {
    METRICS.map(named).to_vec()
}

fn named(name: &str) -> super::Choice {
    super::Choice { name: name.to_owned(), about: None }
}

static TYPE_OPTIONS: Object = Object::new(
    "type options",
    &[
        optional("format", TEXT, "A text format (email, uuid, uri, ipv4, ...), a width (i32, f64), or a date pattern."),
        optional("pattern", TEXT, "A regular expression."),
        optional("minLength", COUNT, "Fewest characters."),
        optional("maxLength", COUNT, "Most characters."),
        optional("minimum", Shape::Scalar, "Smallest value."),
        optional("maximum", Shape::Scalar, "Largest value."),
        optional("exclusiveMinimum", Shape::Scalar, "Values are larger than this; a boolean in v3.0."),
        optional("exclusiveMaximum", Shape::Scalar, "Values are smaller than this; a boolean in v3.0."),
        optional("multipleOf", Shape::Number(f64::MIN_POSITIVE, f64::MAX), "Values are multiples of this."),
        optional("minItems", COUNT, "Fewest elements."),
        optional("maxItems", COUNT, "Most elements."),
        optional("uniqueItems", Shape::Boolean, "Elements are distinct."),
        optional("minProperties", COUNT, "Fewest fields."),
        optional("maxProperties", COUNT, "Most fields."),
        optional("required", TAGS, "Fields that must be there."),
        optional("timezone", Shape::Boolean, "Texts name their time zone."),
        optional("defaultTimezone", TEXT, "The zone of texts that name none."),
    ],
)
.lenient();

static QUALITY_CHECK: Object = Object::new(
    "a quality check",
    &[
        ID,
        optional("name", TEXT, "The name under which failures are counted and shown."),
        optional("description", TEXT, "What is checked."),
        optional("type", Shape::Choice(quality_types), "library by default."),
        optional("metric", Shape::Choice(metrics), "The library metric."),
        optional("rule", TEXT, "The older name of `metric`."),
        optional("arguments", Shape::Object(&ARGUMENTS), "What the metric needs to know."),
        optional("mustBe", ANY, "The result equals this."),
        optional("mustNotBe", ANY, "The result differs from this."),
        optional("mustBeGreaterThan", ANY, "The result is larger."),
        optional("mustBeGreaterOrEqualTo", ANY, "The result is larger or equal."),
        optional("mustBeLessThan", ANY, "The result is smaller."),
        optional("mustBeLessOrEqualTo", ANY, "The result is smaller or equal."),
        optional("mustBeBetween", ANY, "The result lies between."),
        optional("mustNotBeBetween", ANY, "The result does not lie between."),
        optional("validValues", ANY, "v3.0: the values allowed."),
        optional("unit", TEXT, "rows or percent."),
        optional("query", TEXT, "A SQL query over the whole data set."),
        optional("engine", TEXT, "Who runs a custom check; `weir` for Weir's own rules."),
        optional("implementation", ANY, "The custom check; for `weir`, a rule as in a quality step."),
        optional("dimension", TEXT, "accuracy, completeness, conformity, consistency, coverage, timeliness, uniqueness."),
        optional("method", TEXT, "Such as reconciliation."),
        optional("severity", TEXT, "info, warning or error."),
        optional("businessImpact", TEXT, "What a failure means."),
        optional("schedule", TEXT, "When to run."),
        optional("scheduler", TEXT, "Who schedules."),
        optional("tags", TAGS, "Free labels."),
        optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.with_any_of(&["metric", "rule", "type"])
.with_when(&[When { key: "engine", equals: "weir", then: "implementation", shape: Shape::Object(&super::pipeline::CHECK) }])
.lenient();

static ARGUMENTS: Object = Object::new(
    "arguments",
    &[
        optional(
            "validValues",
            Shape::List(&List { of: Shape::Scalar, min: 1, or_one: false }),
            "invalidValues: the values allowed.",
        ),
        optional("pattern", TEXT, "invalidValues: the regular expression asked for."),
        optional(
            "missingValues",
            Shape::List(&List { of: ANY, min: 1, or_one: false }),
            "missingValues: what counts as missing.",
        ),
        optional("properties", TAGS, "duplicateValues: the columns that are distinct together."),
        optional(
            "within",
            Shape::Duration(1, 365 * 86_400_000),
            "duplicateValues: the span of time in which Weir looks for a duplicate.",
        ),
    ],
)
.lenient();

static CUSTOM_PROPERTY: Object = Object::new(
    "a custom property",
    &[
        ID,
        required("property", TEXT, "Its name."),
        optional("value", ANY, "Its value."),
        optional("description", TEXT, "What it means."),
    ],
)
.with_when(&[When {
    key: "property",
    equals: "categories",
    then: "value",
    shape: Shape::List(&List { of: Shape::Text(NonEmpty), min: 0, or_one: true }),
}])
.lenient();

static DEFINITION: Object = Object::new(
    "a definition",
    &[
        ID,
        required("url", TEXT, "Where it is."),
        required("type", TEXT, "What it is."),
        optional("description", TEXT, "What it says."),
    ],
)
.lenient();

static RELATIONSHIP: Object = Object::new(
    "a relationship",
    &[
        ID,
        optional("type", TEXT, "foreignKey."),
        optional("from", ANY, "The columns that refer."),
        required("to", ANY, "The columns referred to."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

static SUPPORT: Object = Object::new(
    "a support channel",
    &[
        ID,
        required("channel", TEXT, "Its name."),
        optional("url", TEXT, "Where it is."),
        optional("description", TEXT, "What it is for."),
        optional("tool", TEXT, "email, slack, teams, ..."),
        optional("scope", TEXT, "interactive, announcements, issues, notifications."),
        optional("invitationUrl", TEXT, "Where to join."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

static PRICE: Object = Object::new(
    "a price",
    &[
        ID,
        optional("priceAmount", ANY, "How much."),
        optional("priceCurrency", TEXT, "In which currency."),
        optional("priceUnit", TEXT, "For how much data."),
    ],
)
.lenient();

static TEAM: Object = Object::new(
    "a team",
    &[
        ID,
        optional("name", TEXT, "Its name."),
        optional("description", TEXT, "What it does."),
        optional("members", Shape::List(&List { of: Shape::Object(&TEAM_MEMBER), min: 0, or_one: false }), "Who is in it."),
        optional("tags", TAGS, "Free labels."),
        optional("customProperties", CUSTOM, "Further properties."),
        optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
    ],
)
.lenient();

static TEAM_MEMBER: Object = Object::new(
    "a team member",
    &[
        ID,
        required("username", TEXT, "User name or e-mail address."),
        optional("name", TEXT, "The name."),
        optional("description", TEXT, "A word on the person's task."),
        optional("role", TEXT, "The role."),
        optional("dateIn", TEXT, "Since when."),
        optional("dateOut", TEXT, "Until when."),
        optional("replacedByUsername", TEXT, "Who came after."),
        optional("comment", TEXT, "v3.0: a remark."),
        optional("tags", TAGS, "Free labels."),
        optional("customProperties", CUSTOM, "Further properties."),
        optional("authoritativeDefinitions", DEFINITIONS, "Links to definitions elsewhere."),
    ],
)
.lenient();

static ROLE: Object = Object::new(
    "a role",
    &[
        ID,
        required("role", TEXT, "Its name."),
        optional("description", TEXT, "What it may do."),
        optional("access", TEXT, "read or write."),
        optional("firstLevelApprovers", TEXT, "Who approves first."),
        optional("secondLevelApprovers", TEXT, "Who approves next."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

static SLA: Object = Object::new(
    "a service level",
    &[
        ID,
        required("property", TEXT, "What is promised."),
        optional("value", ANY, "How much."),
        optional("valueExt", ANY, "How much at most."),
        optional("unit", TEXT, "In which unit."),
        optional("element", TEXT, "Of which columns."),
        optional("driver", TEXT, "regulatory, analytics or operational."),
        optional("description", TEXT, "In plain words."),
        optional("scheduler", TEXT, "Who checks."),
        optional("schedule", TEXT, "When it is checked."),
        optional("customProperties", CUSTOM, "Further properties."),
    ],
)
.lenient();

/// A server has the keys of its type; the standard's types have these.
static SERVER: Object = Object::new(
    "a server",
    &[
        ID,
        required("server", TEXT, "Its name."),
        required("type", TEXT, "Its type."),
        optional("description", TEXT, "What it is."),
        optional("environment", TEXT, "prod, dev, ..."),
        optional("roles", Shape::List(&List { of: Shape::Object(&ROLE), min: 0, or_one: false }), "Roles that give access."),
        optional("customProperties", CUSTOM, "Further properties."),
        optional("account", ANY, "The account."),
        optional("catalog", ANY, "The catalogue."),
        optional("database", ANY, "The database."),
        optional("dataset", ANY, "The data set."),
        optional("delimiter", ANY, "How documents are delimited."),
        optional("encoding", ANY, "The encoding."),
        optional("endpointUrl", ANY, "The endpoint."),
        optional("format", ANY, "The file format."),
        optional("header", ANY, "Whether there is a header."),
        optional("host", ANY, "The host."),
        optional("location", ANY, "The address."),
        optional("path", ANY, "The path."),
        optional("port", ANY, "The port."),
        optional("project", ANY, "The project."),
        optional("quoteChar", ANY, "The quote character."),
        optional("region", ANY, "The region."),
        optional("regionName", ANY, "The region."),
        optional("schema", ANY, "The schema."),
        optional("serviceName", ANY, "The service."),
        optional("stagingDir", ANY, "The staging folder."),
        optional("stream", ANY, "The stream."),
        optional("warehouse", ANY, "The warehouse."),
        optional("workspace", ANY, "The workspace."),
    ],
)
.lenient();
