//! Text inside elements whose content the renderer writes as it is: `<textarea>` and `<title>`. A browser reads no tags there, but
//! character references and the element's own end.

/// The content of a `<textarea>` that begins with this text. On the server it is markup: the first newline after the tag is not part
/// of the text, and a bare carriage return would be read as a newline. In the browser it becomes a text node, which takes it plain.
#[must_use]
pub fn in_textarea(text: &str) -> String {
    if !cfg!(feature = "ssr") {
        return text.to_owned();
    }
    format!("\n{}", escaped(text).replace('\r', "&#13;"))
}

/// The content of a `<title>`: markup on the server, plain in the browser, which sets `document.title`.
#[must_use]
pub fn in_title(text: String) -> String {
    if cfg!(feature = "ssr") { escaped(&text) } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_element_or_says_a_character_that_it_does_not_hold() {
        assert_eq!(in_title("a </title><b> &lt;".to_owned()), "a &lt;/title&gt;&lt;b&gt; &amp;lt;");
        assert_eq!(in_textarea("\n</textarea>&amp;\r\n"), "\n\n&lt;/textarea&gt;&amp;amp;&#13;\n");
        assert_eq!(in_textarea(""), "\n");
    }
}
