//! What the console shows while the server does not answer: the newest data there is, with its age, until the next answer.

use leptos::prelude::*;
use weir_api::{DateTime, Utc};

use crate::{
    browser,
    components::{
        notice::{Notice, Tone},
        time::Ago,
    },
    fault::Fault,
};

/// Since when nothing was heard of the server, where it was asked in vain.
#[derive(Clone, Copy)]
pub struct Connection(RwSignal<Option<DateTime<Utc>>>);

impl Connection {
    pub fn provide() {
        provide_context(Self(RwSignal::new(None)));
    }
}

/// The last answer to a question that is asked again and again.
pub struct Lasting<Q: Send + Sync + 'static, T: Send + Sync + 'static> {
    connection: Connection,
    last: StoredValue<Option<(Q, T, DateTime<Utc>)>>,
}

// Copied as its parts are, whatever they hold.
impl<Q: Send + Sync + 'static, T: Send + Sync + 'static> Clone for Lasting<Q, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Send + Sync + 'static, T: Send + Sync + 'static> Copy for Lasting<Q, T> {}

impl<Q: Clone + PartialEq + Send + Sync + 'static, T: Clone + Send + Sync + 'static> Lasting<Q, T> {
    pub fn begin() -> Self {
        Self { connection: expect_context::<Connection>(), last: StoredValue::new(None) }
    }

    /// Keeps the first answer, which came with the page and was not asked for here.
    pub fn remember(self, question: impl Fn() -> Q + 'static, data: Resource<Result<T, Fault>>) {
        Effect::new(move |_| {
            if let Some(Ok(first)) = data.get()
                && self.last.try_with_value(Option::is_none) == Some(true)
            {
                self.last.try_set_value(Some((untrack(&question), first, browser::now())));
            }
        });
    }

    /// The answer to a question; where the server cannot be reached, the one that it gave before.
    pub async fn ask(self, question: Q, answer: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let answer = answer.await;
        if is_server() {
            return answer;
        }
        match answer {
            Ok(new) => {
                self.connection.0.try_set(None);
                self.last.try_set_value(Some((question, new.clone(), browser::now())));
                Ok(new)
            }
            Err(fault) if fault.is_unreachable() => match self.last.try_get_value().flatten() {
                Some((asked, old, heard_at)) if asked == question => {
                    self.connection.0.try_set(Some(heard_at));
                    Ok(old)
                }
                _ => Err(fault),
            },
            Err(fault) => Err(fault),
        }
    }
}

/// Says that what is shown is old, and how old.
#[component]
pub fn ConnectionBanner() -> impl IntoView {
    let lost = expect_context::<Connection>().0;
    move || {
        lost.get().map(|at| {
            view! {
                <div class="banner">
                    <Notice tone=Tone::Warn title="Weir does not answer">
                        <p>"What is shown is from "<Ago at/>". It is asked again every few seconds."</p>
                    </Notice>
                </div>
            }
        })
    }
}
