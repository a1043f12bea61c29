//! Typed values, straight from the line into the column buffers.

use base64::Engine as _;

use super::{
    scan::{Fault, MAX_DEPTH, Scanner},
    shape::{Fields, Nested, Shape, UNKNOWN},
};
use crate::{
    format::{
        columns::{ColumnBuffer, Values},
        number::{Number, Unfit, float_by_name},
        time::{parse_date, parse_timestamp},
    },
    source::MalformedReason,
};

/// After `{`: reads the members of an object into `columns`, each of which has `row` rows and gets one more. On a fault the
/// columns are left as they are: the caller truncates them.
#[inline]
pub(super) fn read_object(
    scanner: &mut Scanner<'_>,
    fields: &mut Fields,
    columns: &mut [ColumnBuffer],
    row: usize,
    scratch: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Fault> {
    let mut filled = 0;
    let mut place = 0;
    scanner.skip_space();
    if !scanner.take(b'}') {
        loop {
            scanner.skip_space();
            let slot = read_key(scanner, fields, place, scratch)?;
            scanner.skip_space();
            if slot == UNKNOWN {
                scanner.unnamed = true;
                scanner.skip_value(scratch, depth + 1)?;
            } else {
                let (shape, column) = (&mut fields.shapes[slot as usize], &mut columns[slot as usize]);
                if column.len != row {
                    return Err(Box::new(MalformedReason::DuplicateKey { column: shape.name.clone() }));
                }
                read_value(scanner, shape, column, scratch, depth)?;
                filled += 1;
            }
            place += 1;
            scanner.skip_space();
            if scanner.take(b',') {
                continue;
            }
            if scanner.take(b'}') {
                break;
            }
            return Err(scanner.expected("`,` or `}`"));
        }
    }
    if filled < columns.len() {
        for (shape, column) in fields.shapes.iter().zip(columns) {
            if column.len == row {
                push_absent(shape, column)?;
            }
        }
    }
    Ok(())
}

/// Reads a key and its colon. Tries the key that stood here in the row before first.
#[inline]
fn read_key(scanner: &mut Scanner<'_>, fields: &mut Fields, place: usize, scratch: &mut Vec<u8>) -> Result<u32, Fault> {
    if !scanner.take(b'"') {
        return Err(scanner.expected("a key"));
    }
    if let Some(&guess) = fields.order.get(place)
        && let Some(shape) = fields.shapes.get(guess as usize)
        && scanner.bytes[scanner.at..].starts_with(&shape.key)
        && shape.key_is_plain
    {
        scanner.at += shape.key.len();
        return Ok(guess);
    }
    let start = scanner.at;
    let slot = match scanner.plain_string() {
        Some(name) => fields.look_up(place, name),
        None => {
            scanner.at = start;
            scratch.clear();
            scanner.string_into(scratch)?;
            fields.look_up(place, scratch)
        }
    };
    scanner.skip_space();
    if !scanner.take(b':') {
        return Err(scanner.expected("`:`"));
    }
    Ok(slot)
}

fn push_absent(shape: &Shape, column: &mut ColumnBuffer) -> Result<(), Fault> {
    if shape.required {
        return Err(Box::new(MalformedReason::MissingRequired { column: shape.name.clone() }));
    }
    column.push_null();
    Ok(())
}

/// Reads one value into `column`, which gets one row longer.
#[inline]
pub(super) fn read_value(
    scanner: &mut Scanner<'_>,
    shape: &mut Shape,
    column: &mut ColumnBuffer,
    scratch: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Fault> {
    let next = scanner.peek();
    if next == Some(b'n') {
        scanner.literal("null")?;
        return push_absent(shape, column);
    }
    match &mut column.values {
        Values::Text(text) if next == Some(b'"') => {
            scanner.at += 1;
            scanner.string_into(&mut text.bytes)?;
            text.end_value();
        }
        Values::Timestamp { values, .. } if next == Some(b'"') => {
            values.push(read_text(scanner, shape, scratch, parse_timestamp)?);
        }
        Values::Decimal { values, precision, scale } if matches!(next, Some(b'-' | b'0'..=b'9')) => {
            let value = scanner.number()?.to_decimal(*precision, *scale);
            values.push(value.map_err(|unfit| unfit_number(shape, unfit))?);
        }
        Values::Decimal { values, precision, scale } if next == Some(b'"') => {
            let (precision, scale) = (*precision, *scale);
            values.push(read_quoted_decimal(scanner, shape, scratch, precision, scale)?);
        }
        Values::Int64(values) if matches!(next, Some(b'-' | b'0'..=b'9')) => {
            values.push(scanner.number()?.to_i64().map_err(|unfit| unfit_number(shape, unfit))?);
        }
        Values::Int32(values) if matches!(next, Some(b'-' | b'0'..=b'9')) => {
            values.push(scanner.number()?.to_i32().map_err(|unfit| unfit_number(shape, unfit))?);
        }
        Values::Float64(values) if matches!(next, Some(b'-' | b'0'..=b'9')) => {
            values.push(scanner.number()?.to_f64().map_err(|unfit| unfit_number(shape, unfit))?);
        }
        Values::Float32(values) if matches!(next, Some(b'-' | b'0'..=b'9')) => {
            values.push(scanner.number()?.to_f32().map_err(|unfit| unfit_number(shape, unfit))?);
        }
        Values::Float64(values) if next == Some(b'"') => values.push(read_text(scanner, shape, scratch, float_by_name)?),
        Values::Float32(values) if next == Some(b'"') => {
            values.push(read_text(scanner, shape, scratch, float_by_name)? as f32);
        }
        Values::Boolean(values) if matches!(next, Some(b't' | b'f')) => {
            let value = next == Some(b't');
            scanner.literal(if value { "true" } else { "false" })?;
            values.push(value);
        }
        Values::Date(values) if next == Some(b'"') => values.push(read_text(scanner, shape, scratch, parse_date)?),
        Values::Binary(binary) if next == Some(b'"') => {
            scanner.at += 1;
            scratch.clear();
            scanner.string_into(scratch)?;
            base64::engine::general_purpose::STANDARD
                .decode_vec(&*scratch, &mut binary.bytes)
                .map_err(|_| wrong_type(shape, "a string of another form"))?;
            binary.end_value();
        }
        Values::List { ends, items, .. } if next == Some(b'[') => {
            let Nested::Item(item) = &mut shape.nested else {
                return Err(wrong_type(shape, "an array"));
            };
            enter(scanner, depth)?;
            read_items(scanner, item, items, scratch, depth).map_err(|fault| within(&shape.name, fault))?;
            ends.push(items.len as i32);
        }
        Values::Struct { children, .. } if next == Some(b'{') => {
            let Nested::Fields(fields) = &mut shape.nested else {
                return Err(wrong_type(shape, "an object"));
            };
            enter(scanner, depth)?;
            read_object(scanner, fields, children, column.len, scratch, depth + 1).map_err(|fault| within(&shape.name, fault))?;
        }
        _ => return Err(found_instead(scanner, shape, next)),
    }
    column.len += 1;
    Ok(())
}

fn enter(scanner: &mut Scanner<'_>, depth: usize) -> Result<(), Fault> {
    if depth + 1 >= MAX_DEPTH {
        return Err(scanner.expected("no deeper nesting than 128"));
    }
    scanner.at += 1;
    Ok(())
}

fn read_items(
    scanner: &mut Scanner<'_>,
    item: &mut Shape,
    items: &mut ColumnBuffer,
    scratch: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Fault> {
    scanner.skip_space();
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        scanner.skip_space();
        read_value(scanner, item, items, scratch, depth + 1)?;
        scanner.skip_space();
        if scanner.take(b']') {
            return Ok(());
        }
        if !scanner.take(b',') {
            return Err(scanner.expected("`,` or `]`"));
        }
    }
}

/// A string that `parse` makes a value of.
#[inline]
fn read_text<T>(
    scanner: &mut Scanner<'_>,
    shape: &Shape,
    scratch: &mut Vec<u8>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, Fault> {
    scanner.at += 1;
    let start = scanner.at;
    let value = match scanner.plain_string() {
        Some(text) => parse(text),
        None => {
            scanner.at = start;
            scratch.clear();
            scanner.string_into(scratch)?;
            parse(scratch)
        }
    };
    value.ok_or_else(|| wrong_type(shape, "a string of another form"))
}

#[cold]
fn read_quoted_decimal(
    scanner: &mut Scanner<'_>,
    shape: &Shape,
    scratch: &mut Vec<u8>,
    precision: u8,
    scale: i8,
) -> Result<i128, Fault> {
    scanner.at += 1;
    scratch.clear();
    scanner.string_into(scratch)?;
    match Number::parse(scratch) {
        Ok(number) if number.text.len() == scratch.len() => {
            number.to_decimal(precision, scale).map_err(|unfit| unfit_number(shape, unfit))
        }
        _ => Err(wrong_type(shape, "a string of another form")),
    }
}

#[cold]
fn unfit_number(shape: &Shape, unfit: Unfit) -> Fault {
    match unfit {
        Unfit::NotIntegral => wrong_type(shape, "a number with a fraction or an exponent"),
        Unfit::OutOfRange => {
            Box::new(MalformedReason::OutOfRange { column: shape.name.clone(), expected: shape.type_name.clone() })
        }
    }
}

#[cold]
fn wrong_type(shape: &Shape, found: &str) -> Fault {
    Box::new(MalformedReason::WrongType {
        column: shape.name.clone(),
        expected: shape.type_name.clone(),
        found: found.to_owned(),
    })
}

#[cold]
fn found_instead(scanner: &Scanner<'_>, shape: &Shape, next: Option<u8>) -> Fault {
    let found = match next {
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "a boolean",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => return scanner.expected("a JSON value"),
    };
    wrong_type(shape, found)
}

/// Puts the name of the enclosing column before the one a fault names.
#[cold]
fn within(parent: &str, mut fault: Fault) -> Fault {
    match &mut *fault {
        MalformedReason::WrongType { column, .. }
        | MalformedReason::OutOfRange { column, .. }
        | MalformedReason::MissingRequired { column }
        | MalformedReason::DuplicateKey { column } => {
            let separator = if column.starts_with("[]") { "" } else { "." };
            *column = format!("{parent}{separator}{column}");
        }
        _ => {}
    }
    fault
}
