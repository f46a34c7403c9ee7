"""CloudTalk, the telephony provider."""

from filiera.simulators.cloudtalk.api import CloudTalk

__all__ = ["CloudTalk"]
