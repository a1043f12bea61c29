//! Background work: apalis jobs, and the supervisor that keeps pipeline runs alive.
