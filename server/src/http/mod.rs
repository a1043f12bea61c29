//! The HTTP server: API, console, documentation and health behind one stack of middleware.

pub mod api;
pub mod assets;
pub mod auth;
pub mod console;
pub mod extract;
pub mod health;
pub mod listen;
pub mod middleware;
pub mod openapi;
pub mod problem;
pub mod public;
pub mod router;
pub mod sse;
pub mod state;
pub mod stream;

pub use public::{InvalidPublicUrl, Public};
pub use router::{document, router};
pub use state::AppState;
