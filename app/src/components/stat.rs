//! One number with its name and what it means, and a line of its recent past.

use leptos::prelude::*;

/// A tile of a `.stats` grid; with an address it leads to the page that explains it.
#[component]
pub fn Stat(
    #[prop(into)] label: String,
    #[prop(into)] value: Signal<String>,
    #[prop(optional, into)] unit: String,
    #[prop(optional, into)] note: MaybeProp<String>,
    #[prop(optional, into)] href: Option<String>,
    #[prop(default = "")] tone: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let class = match tone {
        "" => "stat".to_owned(),
        tone => format!("stat stat--{tone}"),
    };
    let inside = view! {
        <span class="stat__label">{label}</span>
        <span class="stat__value">
            // What is drawn may outlive its page by a moment.
            {move || value.try_get()}
            {(!unit.is_empty()).then(|| view! { <span class="stat__unit">{unit}</span> })}
        </span>
        {move || note.try_get().flatten().map(|note| view! { <span class="stat__note">{note}</span> })}
        {children.map(|children| children())}
    };
    match href {
        Some(href) => view! { <a class=class href=href>{inside}</a> }.into_any(),
        None => view! { <div class=class>{inside}</div> }.into_any(),
    }
}

/// The points of a line and of the area under it, on a grid of 100 x 24; the highest value touches the top.
fn outline(values: &[f64]) -> (String, String) {
    if values.len() < 2 {
        return (String::new(), String::new());
    }
    let highest = values.iter().copied().fold(0.0_f64, f64::max).max(1e-9);
    let step = 100.0 / (values.len() - 1) as f64;
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(i, value)| format!("{:.2},{:.2}", i as f64 * step, 23.0 - value / highest * 21.0))
        .collect();
    let line = format!("M{}", points.join("L"));
    let area = format!("{line}L100,24L0,24Z");
    (line, area)
}

/// The recent past as a line. The number beside it says what it is now, so it is hidden from screen readers.
#[component]
pub fn Sparkline(#[prop(into)] values: Signal<Vec<f64>>, #[prop(default = "spark")] class: &'static str) -> impl IntoView {
    let paths = Memo::new(move |_| values.try_with(|values| outline(values)).unwrap_or_default());
    view! {
        <svg class=class viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
            <path class="spark__area" d=move || paths.try_get().map(|paths| paths.1)></path>
            <path class="spark__line" d=move || paths.try_get().map(|paths| paths.0)></path>
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_touches_the_top_and_nothing_leaves_the_grid() {
        let (line, area) = outline(&[0.0, 10.0, 5.0]);
        assert_eq!(line, "M0.00,23.00L50.00,2.00L100.00,12.50");
        assert!(area.ends_with("L100,24L0,24Z"));
        assert_eq!(outline(&[1.0]).0, "");
        assert_eq!(outline(&[0.0, 0.0]).0, "M0.00,23.00L100.00,23.00");
    }
}
