"""The status page at `/`: one document with everything in it, made of the answer of /api/status and nothing else."""
