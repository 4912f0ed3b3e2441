"""Reading of tables: formats, local disks, buckets, dataset files, releases, validation."""
