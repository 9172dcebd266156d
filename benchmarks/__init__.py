"""Benchmarks: ours and a peer's, side by side in one run on the same servers. See benchmarks/README.md."""
