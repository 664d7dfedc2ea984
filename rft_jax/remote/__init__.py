"""Objects in buckets, gs:// and s3://: copies of them to read, and files to put there."""
