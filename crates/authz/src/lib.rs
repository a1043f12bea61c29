//! Actor, Action, Resource, Grant: who may do what. The only crate that names casbin.
