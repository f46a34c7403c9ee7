"""The numbers of the people of `bench.million`, for who may not load Django."""

FIRST_PERSON = 50_000_000
"""They start here, so that the leads of `bench.leads` meet them only when they mean to."""
