"""The figures of docs/bench.md, measured on this machine: `make bench`."""
