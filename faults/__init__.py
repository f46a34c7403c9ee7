"""What must hold when things break (docs/faults.md): `make faults`."""
