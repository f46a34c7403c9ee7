"""The keys of a furnished house, for who may not load Django."""

KEY = "bench-key-0123456789"
CLOUDTALK_KEY = ("bench", "bench-secret")
WEBHOOK_TOKEN = "bench-events"
