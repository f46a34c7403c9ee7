"""What a fault run found: named checks, each with what was counted."""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(slots=True)
class Verdict:
    """The checks of one run. It holds when every check does."""

    id: str
    what: str
    facts: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)

    def check(self, name: str, holds: bool, **seen: Any) -> None:
        """Note a check; what was seen is kept beside it when it fails."""
        self.checks[name] = holds
        if not holds:
            self.facts[f"seen: {name}"] = seen

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(self.checks.values())

    def line(self) -> str:
        """Return the verdict as one line of JSON."""
        return orjson.dumps(
            {
                "id": self.id,
                "what": self.what,
                "holds": self.holds,
                "failed": [name for name, holds in self.checks.items() if not holds],
                "checks": len(self.checks),
                **self.facts,
            },
            default=str,
            option=orjson.OPT_NON_STR_KEYS,
        ).decode()
