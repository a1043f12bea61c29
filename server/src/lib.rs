//! The HTTP server and the binary weir.
