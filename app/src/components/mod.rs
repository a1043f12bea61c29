//! The parts that pages are made of.

pub mod alert;
pub mod badge;
pub mod balance;
pub mod decision;
pub mod dialog;
pub mod diff;
pub mod editor;
pub mod empty;
pub mod graph;
pub mod icon;
pub mod notice;
pub mod page;
pub mod prose;
pub mod search_form;
pub mod series;
pub mod stat;
pub mod time;
pub mod toast;
