//! Who are you? A plain form post: it works without scripts.

use leptos::{form::ActionForm, prelude::*};
use leptos_meta::Title;

use super::query;
use crate::{
    address_errors,
    components::{icon::Logo, notice::FaultNotice},
    links,
    server_fns::session::SignIn,
};

#[component]
pub fn SignInPage() -> impl IntoView {
    address_errors::trust_kinds_only();
    let action = ServerAction::<SignIn>::new();
    let next = query("next");
    let failed = move || action.value().get().and_then(Result::err);
    let pending = action.pending();
    view! {
        <Title text="Sign in"/>
        <main class="door" id="main">
            <div class="door__form">
                <div class="door__box">
                    <span class="brand"><Logo size=32/>"Weir"</span>
                    <h1>"Sign in"</h1>
                    {move || failed().map(|fault| view! { <FaultNotice fault/> })}
                    <ActionForm action>
                        <input type="hidden" name="next" value=move || links::safe_next(&next.get()).to_owned()/>
                        <div class="field">
                            <label class="field__label" for="name">"Name"</label>
                            <input class="input" id="name" name="name" autocomplete="username" autocapitalize="off" spellcheck="false" required autofocus/>
                        </div>
                        <div class="field">
                            <label class="field__label" for="password">"Password"</label>
                            <input class="input" id="password" name="password" type="password" autocomplete="current-password" required/>
                        </div>
                        <button class="btn btn--primary" type="submit">{move || if pending.get() { "Signing in…" } else { "Sign in" }}</button>
                    </ActionForm>
                    <p class="small muted">"No account, or the password is lost? An administrator makes both."</p>
                </div>
            </div>
            <aside class="door__side" aria-label="About Weir">
                <svg class="door__water" viewBox="0 0 600 800" preserveAspectRatio="xMidYMid slice" aria-hidden="true" fill="none" stroke="currentColor">
                    {water()}
                </svg>
                <div class="door__promise">
                    <h2>"Nothing passes ungoverned."</h2>
                    <p>"Every record meets its contract, its rules, its subject's consent and its masking before it goes on. Each decision leaves evidence that anyone can check."</p>
                </div>
            </aside>
        </main>
    }
}

/// Level lines that meet a weir and run on below it, evenly.
fn water() -> impl IntoView {
    (0..16)
        .map(|i| {
            let y = 90 + i * 24;
            let below = 330 + i * 11;
            let d = format!("M-20 {y}H250C330 {y} 320 {below} 400 {below}H640");
            let opacity = format!("{:.2}", 0.5 - f64::from(i) * 0.028);
            view! { <path d=d stroke-width="1.5" opacity=opacity></path> }
        })
        .collect_view()
}
