//! The dataflow: stages in the order data meets them, lanes, barriers and checkpoints.
