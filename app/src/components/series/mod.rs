//! What a rule measured over time, as a small drawing with its verdicts, and as a table for who would rather read.

pub mod scale;

use leptos::prelude::*;
use scale::{HEIGHT, STRIP, WIDTH};
use weir_api::{NoValue, QualityPoint, QualitySeries, WindowVerdict};

use super::{alert::VerdictBadge, time::Moment};
use crate::format;

/// Rows of the table, at most: the newest.
const LISTED: usize = 200;

/// The drawing and its axis. It is made on the server as well, and needs no scripts.
#[component]
pub fn SeriesChart(series: QualitySeries) -> impl IntoView {
    let drawn = scale::draw(&series.points);
    let marks = drawn
        .marks
        .iter()
        .map(|mark| {
            let x = mark.x;
            let strip = match mark.verdict {
                WindowVerdict::Kept => view! { <circle class="ts__kept" cx=x cy=STRIP r="1.75"></circle> }.into_any(),
                WindowVerdict::Broken => {
                    let path = format!("M{x:.1},{:.1}l5,9h-10z", STRIP - 6.0);
                    view! { <path class="ts__broken" d=path></path> }.into_any()
                }
                WindowVerdict::Open => {
                    view! { <rect class="ts__open" x=x - 2.0 y=STRIP - 2.0 width="4" height="4"></rect> }.into_any()
                }
            };
            let broken = (mark.verdict == WindowVerdict::Broken).then(|| {
                mark.low.zip(mark.high).map(|(low, high)| {
                    view! { <circle class="ts__broken" cx=x cy=(low + high) / 2.0 r="3"></circle> }
                })
            });
            view! { {strip} {broken} }
        })
        .collect_view();
    let bands = drawn.bands.into_iter().map(|band| view! { <path class="ts__band" d=band></path> }).collect_view();
    let ends = series.points.first().zip(series.points.last()).map(|(first, last)| (first.start, last.end));
    let bounds = drawn.range.map(|(low, high)| {
        view! {
            <span class="ts__high">{format::measured(high)}</span>
            {(high > low).then(|| view! { <span class="ts__low">{format::measured(low)}</span> })}
        }
    });
    view! {
        <figure class="ts">
            <div class="ts__plot">
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") role="img" aria-label=spoken(&series)>
                    <path class="ts__rule" d=format!("M0,96.5H{WIDTH}")></path>
                    {bands}
                    <path class="ts__line" d=drawn.line></path>
                    {marks}
                </svg>
                <div class="ts__values" aria-hidden="true">{bounds}</div>
            </div>
            {ends.map(|(from, until)| view! { <figcaption class="ts__time"><Moment at=from/><Moment at=until/></figcaption> })}
        </figure>
    }
}

/// The drawing in words.
fn spoken(series: &QualitySeries) -> String {
    let broken = series.points.iter().filter(|point| point.verdict == WindowVerdict::Broken).count() as u64;
    let Some((first, last)) = series.points.first().zip(series.points.last()) else {
        return format!("{}: nothing was measured in this time", series.rule);
    };
    let newest = value(last).map(|value| format!("; the newest is {value}")).unwrap_or_default();
    format!(
        "{} from {} to {}: {}, {broken} of them broken{newest}",
        series.metric,
        format::moment(first.start),
        format::moment(last.end),
        format::plural(series.points.len() as u64, "point", "points")
    )
}

/// `12.5`, or `3 to 17` where several windows make the point and do not add up to a value.
pub fn value(point: &QualityPoint) -> Option<String> {
    if let Some(value) = point.value {
        return Some(format::measured(value));
    }
    let (low, high) = (point.low?, point.high?);
    Some(if low == high { format::measured(low) } else { format!("{} to {}", format::measured(low), format::measured(high)) })
}

/// Why an hour or a day shows the values of its windows or nothing at all.
fn not_added(point: &QualityPoint) -> Option<String> {
    let why = point.no_value.filter(|why| *why != NoValue::Nothing)?.told();
    Some(if point.low.is_some() { format!("of its windows: {why}") } else { why.to_owned() })
}

/// The same as a table, newest first.
#[component]
pub fn SeriesTable(series: QualitySeries) -> impl IntoView {
    let shown = series.points.len().min(LISTED);
    let summed = series.bucket_seconds.is_some();
    let rows = series
        .points
        .iter()
        .rev()
        .take(LISTED)
        .map(|point| {
            view! {
                <tr>
                    <td><Moment at=point.start/></td>
                    {summed.then(|| view! { <td class="num" data-label="Windows">{format::count(point.windows)}</td> })}
                    <td class="num" data-label="Rows">{format::count(point.rows)}</td>
                    <td class="num" class:zero=point.late_rows == 0 data-label="Late">{format::count(point.late_rows)}</td>
                    <td class="num" data-label="Value">
                        {value(point).unwrap_or_else(|| "–".to_owned())}
                        {not_added(point).map(|why| view! { <span class="cell-sub">{why}</span> })}
                    </td>
                    <td data-label="Verdict"><VerdictBadge verdict=point.verdict/>{point.detail.clone().map(|detail| view! { <span class="cell-sub">{detail}</span> })}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap ts__table" tabindex="0" role="region" aria-label=format!("{} as a table", series.rule)>
            <table class="table table--cards">
                <caption class="visually-hidden">{format!("{} of {}, newest first, {shown} points", series.rule, series.step)}</caption>
                <thead>
                    <tr>
                        <th scope="col">{if summed { "From" } else { "Window from" }}</th>
                        {summed.then(|| view! { <th scope="col" class="num">"Windows"</th> })}
                        <th scope="col" class="num">"Rows"</th>
                        <th scope="col" class="num">"Late"</th>
                        <th scope="col" class="num">"Value"</th>
                        <th scope="col">"Verdict"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
