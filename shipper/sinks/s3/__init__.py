"""The archive in a bucket: Amazon S3 and what speaks its protocol."""
