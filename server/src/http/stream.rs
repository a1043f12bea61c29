//! Bodies that are written while they are sent: a failure midway cuts the connection, so that nobody takes a part for the whole.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio_util::io::ReaderStream;
use weir_api::{Cursor, Page};
use weir_service::Error;

/// The items of `first` and of the pages after it, `wanted` in all if given. `more` is asked for a page after a cursor, of so many items
/// at most as are still wanted: what is not wanted is not read.
pub fn pages<T, F>(
    first: Page<T>,
    wanted: Option<u32>,
    more: impl Fn(Cursor, Option<u32>) -> F + Send + 'static,
) -> impl Stream<Item = Result<T, Error>> + Send
where
    T: Send + 'static,
    F: Future<Output = Result<Page<T>, Error>> + Send,
{
    let left = after(wanted, &first);
    let rest = stream::try_unfold((first.next, left, more), |(next, left, more)| async move {
        let Some(cursor) = next.filter(|_| left != Some(0)) else { return Ok(None) };
        let page = more(cursor, left).await?;
        let left = after(left, &page);
        Ok::<_, Error>(Some((stream::iter(page.items.into_iter().map(Ok)), (page.next, left, more))))
    });
    stream::iter(first.items.into_iter().map(Ok)).chain(rest.try_flatten())
}

/// What is still wanted after a page.
fn after<T>(wanted: Option<u32>, page: &Page<T>) -> Option<u32> {
    wanted.map(|wanted| wanted.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX)))
}

/// One JSON object a line.
pub fn ndjson<T: Serialize>(file_name: &str, items: impl Stream<Item = Result<T, Error>> + Send + 'static) -> Response {
    let lines = items.map(|item| {
        let mut line = serde_json::to_vec(&item.inspect_err(report)?)?;
        line.push(b'\n');
        Ok::<_, axum::BoxError>(Bytes::from(line))
    });
    attachment(file_name, Body::from_stream(lines))
}

/// A file's content, from where it stands.
pub fn file(file_name: &str, file: std::fs::File) -> Response {
    attachment(file_name, Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 << 10)))
}

fn report(error: &Error) {
    tracing::error!(%error, "an export was cut off");
}

fn attachment(file_name: &str, body: Body) -> Response {
    let disposition = format!("attachment; filename=\"{file_name}\"");
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, body).into_response()
}
