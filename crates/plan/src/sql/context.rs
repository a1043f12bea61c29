//! What DataFusion's SQL planner may see: the input nodes as tables and the built-in scalar functions.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{DFSchema, Result, TableReference, config::ConfigOptions, not_impl_err, plan_err},
    execution::SessionStateDefaults,
    functions::core::expr_fn::get_field,
    logical_expr::{
        AggregateUDF, GetFieldAccess, HigherOrderUDF, LogicalTableSource, ScalarUDF, TableSource, Volatility, WindowUDF,
        planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr},
    },
    sql::planner::{ContextProvider, NullOrdering, ParserOptions},
};

use super::typed_only::{APPROX_DISTINCT, AS_OF, AS_OF_NAME, ROW_NUMBER};

/// The built-in functions by name.
pub(crate) struct Functions {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashSet<String>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

/// What a function name stands for.
pub(crate) enum FunctionKind {
    Scalar,
    /// Its result differs between calls or runs.
    Volatile,
    Aggregate,
    Window,
    Unknown,
}

pub(crate) static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut scalar = HashMap::new();
    for function in SessionStateDefaults::default_scalar_functions() {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            scalar.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    let mut aggregate = HashMap::new();
    for function in SessionStateDefaults::default_aggregate_functions() {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            aggregate.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    if let Some(variance) = aggregate.get("var").cloned() {
        aggregate.insert("variance".to_owned(), variance);
    }
    aggregate.insert(APPROX_DISTINCT.name().to_owned(), Arc::clone(&APPROX_DISTINCT));
    let mut window = HashSet::new();
    for function in SessionStateDefaults::default_window_functions() {
        window.insert(function.name().to_owned());
        window.extend(function.aliases().iter().cloned());
    }
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.push(Arc::new(StructFields));
    Functions { scalar, aggregate, window, planners }
});

/// Functions about the running session rather than the row.
const SESSION: [&str; 2] = ["version", "arrow_metadata"];

impl Functions {
    pub fn kind(&self, name: &str) -> FunctionKind {
        match self.scalar.get(name) {
            Some(function) if function.signature().volatility != Volatility::Immutable || SESSION.contains(&name) => {
                FunctionKind::Volatile
            }
            Some(_) => FunctionKind::Scalar,
            None if self.aggregate.contains_key(name) => FunctionKind::Aggregate,
            None if self.window.contains(name) => FunctionKind::Window,
            None => FunctionKind::Unknown,
        }
    }

    /// The names of the functions that a query may call.
    pub fn supported(&self) -> impl Iterator<Item = &str> {
        self.scalar.keys().map(String::as_str).filter(|name| matches!(self.kind(name), FunctionKind::Scalar))
    }
}

/// `address['zip']`: a field of a struct. (`address.zip` is DataFusion's own.)
#[derive(Debug)]
struct StructFields;

impl ExprPlanner for StructFields {
    fn plan_field_access(&self, access: RawFieldAccessExpr, _schema: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        match access.field_access {
            GetFieldAccess::NamedStructField { name } => Ok(PlannerResult::Planned(get_field(access.expr, name))),
            GetFieldAccess::ListIndex { .. } | GetFieldAccess::ListRange { .. } => {
                not_impl_err!("elements of a list")
            }
        }
    }
}

/// How SQL text is read: text types are plain strings, unquoted names are lower-cased, places are remembered for messages. Nulls
/// are sorted before everything else, as Flink does.
pub fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_default_null_ordering(NullOrdering::NullsMin)
        .with_collect_spans(true)
        .with_map_string_types_to_utf8view(false)
}

/// The tables of one query.
pub(crate) struct Context {
    tables: HashMap<String, Arc<dyn TableSource>>,
    options: ConfigOptions,
}

impl Context {
    pub fn new<'t>(tables: impl IntoIterator<Item = (&'t str, SchemaRef)>) -> Self {
        let source = |schema| Arc::new(LogicalTableSource::new(schema)) as Arc<dyn TableSource>;
        Self {
            tables: tables.into_iter().map(|(name, schema)| (name.to_owned(), source(schema))).collect(),
            options: ConfigOptions::default(),
        }
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.tables.get(name.table()) {
            Some(table) => Ok(Arc::clone(table)),
            None => plan_err!("`{name}` is neither a source nor a step"),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &FUNCTIONS.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == AS_OF_NAME {
            return Some(Arc::clone(&AS_OF));
        }
        FUNCTIONS.scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        FUNCTIONS.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        (name == ROW_NUMBER.name()).then(|| Arc::clone(&ROW_NUMBER))
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
