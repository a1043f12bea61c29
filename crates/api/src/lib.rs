//! What travels between console, machines and server: DTOs, ids and problems. Builds for wasm32.
