//! Pages of the console as the server sends them: what people have written stays text.

use crate::common::{MAIN, Server};
use axum::http::StatusCode;
use serde_json::json;

/// What a browser makes of the content of a `<textarea>`: the HTML standard drops a newline right after the tag, reads `\r\n` and `\r`
/// as `\n`, and decodes character references.
fn as_read(markup: &str) -> String {
    let markup = markup.replace("\r\n", "\n").replace('\r', "\n");
    let text = markup.strip_prefix('\n').unwrap_or(&markup);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#13;", "\r");
    text.replace("&amp;", "&")
}

#[tokio::test]
async fn a_document_is_edited_as_it_is_whatever_it_says() {
    let server = Server::start().await;
    for (index, comment) in [
        "# </textarea><form action=/elsewhere><button>Sign in again</button></form>",
        "# &lt; &amp; &amp;lt; &#60; &nbsp &",
        "\n\n# two empty lines before",
        "# a line\r\n# with other ends\r\n",
        "# <!-- <script> ]]> </TEXTAREA >",
    ]
    .into_iter()
    .enumerate()
    {
        let document = format!(
            "{comment}\napiVersion: weir/v1\nkind: Pipeline\nname: words-{index}\npurpose: essential.service\nbasis: contract\n\
             sources:\n  rows: {{ http: {{}}, schema: [ {{ name: id, type: int64 }} ] }}\n\
             sinks:\n  out: {{ from: rows, file: {{ path: out }} }}\n"
        );
        let made = server.post(&format!("{MAIN}/pipelines"), &server.admin, json!({ "document": document, "note": null })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        let page = server.get(&format!("/p/main/pipelines/words-{index}/edit"), &server.admin).await;
        assert_eq!(page.status, StatusCode::OK);
        let html = page.text();
        assert!(!html.contains("<form action=/elsewhere>"), "{comment}");
        let (_, rest) = html.split_once("<textarea").expect("an editor");
        let (_, rest) = rest.split_once('>').unwrap();
        let end = rest.to_lowercase().find("</textarea").expect("its end");
        let shown = as_read(&rest[..end]);
        // The value that scripts and forms see has `\n` for every end of a line.
        assert_eq!(shown.replace("\r\n", "\n"), document.replace("\r\n", "\n"), "{comment}");
        assert!(rest[end..].contains("</html>") && !rest[end + 1..].to_lowercase().contains("</textarea"), "{comment}");
    }
}
