//! One aggregate of the plan, made ready for a type of input: which accumulator it folds rows into.

use arrow::{
    array::new_null_array,
    compute::SortOptions,
    datatypes::{DataType, Schema},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use weir_plan::operator::{AggregateCall, AggregateFunction, SortKey};

use super::words::{fits_wide, fits_word};

/// How rows are folded into an accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Count,
    /// Sum of wide integers that are only added.
    Wide,
    /// Sum and number of wide integers.
    Counted,
    /// Sum and number of floats that are only added.
    Mean,
    Floats,
    Moments,
    Bools,
    BestWord {
        greatest: bool,
    },
    BestWide {
        greatest: bool,
    },
    BestBytes {
        greatest: bool,
    },
    /// The first or last row by order and arrival.
    BestItem {
        greatest: bool,
    },
    Items,
    Sorted,
    DistinctWords,
    DistinctBytes,
    Hll,
    Digest,
}

impl Kernel {
    /// Which of two values stays when accumulators are merged; `None` if both count.
    pub(super) fn greatest(self) -> Option<bool> {
        match self {
            Self::BestWord { greatest }
            | Self::BestWide { greatest }
            | Self::BestBytes { greatest }
            | Self::BestItem { greatest } => Some(greatest),
            _ => None,
        }
    }

    /// Whether rows need to know how many of their key came before.
    fn needs_arrivals(self) -> bool {
        matches!(self, Self::BestItem { .. } | Self::Items)
    }
}

/// An aggregate over columns of one schema.
pub(super) struct Call {
    pub(super) function: AggregateFunction,
    pub(super) kernel: Kernel,
    pub(super) args: Vec<usize>,
    pub(super) filter: Option<usize>,
    /// Whether each value counts once. Where the kernel keeps distinct values, [`Call::inner`] makes the result of them.
    pub(super) distinct: bool,
    pub(super) inner: Option<Box<Call>>,
    /// Arguments in row format, where the kernel wants that.
    pub(super) values: Option<RowConverter>,
    /// What a null is in that format.
    pub(super) null: Box<[u8]>,
    pub(super) order: Option<(Vec<usize>, RowConverter)>,
    /// Types of the arguments.
    pub(super) types: Vec<DataType>,
    pub(super) output: DataType,
}

impl Call {
    /// `retracts`: whether rows may be taken back. Fails, in words, where the types do not go together.
    pub(super) fn new(call: &AggregateCall, input: &Schema, retracts: bool, output: &DataType) -> Result<Self, String> {
        let types = call.args.iter().map(|&column| input.field(column).data_type().clone()).collect();
        let order = sort_columns(&call.order, input).map_err(|error| error.to_string())?;
        Self::of_types(call, types, order, retracts, output)
    }

    fn of_types(
        call: &AggregateCall,
        types: Vec<DataType>,
        order: Option<(Vec<usize>, RowConverter)>,
        retracts: bool,
        output: &DataType,
    ) -> Result<Self, String> {
        let kernel = kernel(call, &types, retracts)?;
        let row_format = matches!(
            kernel,
            Kernel::BestBytes { .. }
                | Kernel::BestItem { .. }
                | Kernel::Items
                | Kernel::Sorted
                | Kernel::DistinctBytes
                | Kernel::Hll
        );
        let (values, null) = match row_format {
            true => row_converter(&types).map(|(converter, null)| (Some(converter), null)).map_err(|error| error.to_string())?,
            false => (None, Box::default()),
        };
        let folds_distinct = matches!(kernel, Kernel::DistinctWords | Kernel::DistinctBytes);
        let plain = matches!(call.function, AggregateFunction::Count | AggregateFunction::ApproxDistinct);
        let inner = match folds_distinct && !plain {
            true => {
                let once = AggregateCall { args: vec![0], distinct: false, filter: None, order: Vec::new(), ..call.clone() };
                Some(Box::new(Self::of_types(&once, types.clone(), None, false, output)?))
            }
            false => None,
        };
        Ok(Self {
            function: call.function.clone(),
            kernel,
            args: call.args.clone(),
            filter: call.filter,
            distinct: call.distinct,
            inner,
            values,
            null,
            order,
            types,
            output: output.clone(),
        })
    }

    pub(super) fn needs_arrivals(&self) -> bool {
        self.kernel.needs_arrivals()
    }

    /// Whether it counts all rows: then it tells how many rows a group has.
    pub(super) fn counts_rows(&self) -> bool {
        self.kernel == Kernel::Count && self.args.is_empty() && self.filter.is_none()
    }
}

fn sort_columns(keys: &[SortKey], input: &Schema) -> Result<Option<(Vec<usize>, RowConverter)>, ArrowError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let field = |key: &SortKey| {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        SortField::new_with_options(input.field(key.column).data_type().clone(), options)
    };
    let converter = RowConverter::new(keys.iter().map(field).collect())?;
    Ok(Some((keys.iter().map(|key| key.column).collect(), converter)))
}

/// A converter of values, and what nulls are to it.
pub(super) fn row_converter(types: &[DataType]) -> Result<(RowConverter, Box<[u8]>), ArrowError> {
    let converter = RowConverter::new(types.iter().map(|of| SortField::new(of.clone())).collect())?;
    let nulls: Vec<_> = types.iter().map(|of| new_null_array(of, 1)).collect();
    let null = if types.is_empty() { Box::default() } else { converter.convert_columns(&nulls)?.row(0).data().into() };
    Ok((converter, null))
}

fn kernel(call: &AggregateCall, types: &[DataType], retracts: bool) -> Result<Kernel, String> {
    use AggregateFunction::*;
    let name = format!("{:?}", call.function);
    let first = types.first();
    if first.is_none() && call.function != Count {
        return Err(format!("{name} has no argument"));
    }
    let first = first.unwrap_or(&DataType::Null);
    let wrong = |wants: &str| Err(format!("{name} takes {wants}, not {first}"));
    let distinct_values = if types.len() == 1 && fits_word(first) { Kernel::DistinctWords } else { Kernel::DistinctBytes };
    let counts_once =
        matches!(call.function, Count | Sum | Avg | Stddev | StddevPop | Variance | VariancePop | ApproxPercentile(_));
    if call.distinct && counts_once && !types.is_empty() {
        return Ok(distinct_values);
    }
    Ok(match &call.function {
        Count => Kernel::Count,
        Sum if fits_wide(first) && !retracts => Kernel::Wide,
        Sum | Avg if fits_wide(first) => Kernel::Counted,
        Sum | Avg if first.is_floating() => {
            if retracts {
                Kernel::Floats
            } else {
                Kernel::Mean
            }
        }
        Sum | Avg => return wrong("numbers"),
        Min | Max => {
            let greatest = call.function == Max;
            match first {
                _ if retracts => Kernel::Sorted,
                DataType::Decimal128(_, _) => Kernel::BestWide { greatest },
                _ if fits_word(first) => Kernel::BestWord { greatest },
                _ => Kernel::BestBytes { greatest },
            }
        }
        Stddev | StddevPop | Variance | VariancePop if first.is_numeric() => Kernel::Moments,
        Stddev | StddevPop | Variance | VariancePop => return wrong("numbers"),
        FirstValue | LastValue if retracts => Kernel::Items,
        FirstValue => Kernel::BestItem { greatest: false },
        LastValue => Kernel::BestItem { greatest: true },
        BoolAnd | BoolOr if *first == DataType::Boolean => Kernel::Bools,
        BoolAnd | BoolOr => return wrong("booleans"),
        ApproxDistinct if retracts => distinct_values,
        ApproxDistinct => Kernel::Hll,
        ApproxPercentile(_) if !first.is_numeric() => return wrong("numbers"),
        ApproxPercentile(_) if retracts => Kernel::Sorted,
        ApproxPercentile(_) => Kernel::Digest,
        StringAgg { .. } | ArrayAgg => Kernel::Items,
    })
}
