//! Where does `/` lead? To the reader's first project, or to sign-in.

use leptos::prelude::*;
use leptos_router::components::Redirect;

use crate::{
    components::{empty::Empty, icon::Glyph, notice::FaultPage},
    links,
    server_fns::session,
};

#[component]
pub fn Home() -> impl IntoView {
    let me = Resource::new(|| (), |()| session::me(None));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match me.await {
                    Ok(weir_api::Me { project: Some(project), .. }) => view! { <Redirect path=links::overview(project.as_str())/> }.into_any(),
                    Ok(_) => view! {
                        <main class="page page--narrow">
                            <Empty
                                glyph=Glyph::Lock
                                title="You are in no project yet"
                                text="Ask an administrator to add you to a project; then reload this page."
                            />
                        </main>
                    }
                    .into_any(),
                    Err(fault) if fault.is_signed_out() => view! { <Redirect path=links::SIGN_IN/> }.into_any(),
                    Err(fault) => view! { <main><FaultPage fault/></main> }.into_any(),
                }
            })}
        </Suspense>
    }
}
