"""What taut knows of Slurm: its commands, jobs, limits and accounts. A thin layer of plain values.

Text output with explicit fields is read rather than JSON, whose schema differs from release to release.
"""
