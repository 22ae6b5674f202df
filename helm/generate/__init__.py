"""What of the chart is made from other files: its schema, its README, the dashboard.

`python -m helm.generate` writes them, `--check` only compares; both say which differ.
"""
