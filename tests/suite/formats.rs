//! What rolecall writes, held against the published schemas of others and
//! against its own: reports in every format, events as they arrived.

mod documents;
mod ocsf;
mod queries;
mod sample;
mod sarif;
