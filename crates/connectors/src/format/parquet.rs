//! Parquet: how files are written. Reading needs the file itself and lives with the file source.

use parquet::{
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};

/// Zstandard, row groups of 128 Ki rows (what bounds the writer's memory), statistics per row group.
pub fn writer_properties() -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(128 * 1024))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("weir".to_owned())
        .build()
}
