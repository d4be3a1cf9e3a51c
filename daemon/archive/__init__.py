"""A whole archive scored: films from a folder or an object store to tables in Parquet."""
