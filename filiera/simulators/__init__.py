"""Local servers that speak the providers' protocols, for the demo and the tests.

Each listens on loopback only, validates what it receives, misbehaves on demand, and shows what it saw:
a page on `/`, a JSON log on `/_sim/log`, its knobs on `/_sim/knobs`.
"""
